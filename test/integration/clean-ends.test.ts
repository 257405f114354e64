// If both sides of a connection end in order, no socket of it is reset, in whatever order they end.

import assert from "node:assert/strict";
import { test } from "node:test";
import { limits, until } from "../support/cleanup.js";
import { expectAll } from "../support/expect.js";
import { type Established, type OneEnd, startClientEnd, startServerEnd } from "../support/one-end.js";
import { abortsSoFar, inOwnNetwork } from "../support/own-network.js";
import { descriptorsOf } from "../support/processes.js";
import { randomData } from "../support/random-data.js";
import { connectionLines, startTunnel, stopAndGetLines } from "../support/tunnel.js";

const rounds = 100;
/** Without forward secrecy: thousands of key exchanges would add nothing. */
const quick = { x: 0n };
const flags = ["-f", "-n", "0"];

const data = randomData("clean ends", 5_000);

async function peerReads({ peer }: Established, expected: Uint8Array | string): Promise<void> {
  expectAll(await peer.receiveToEnd(), expected);
}

async function plainReads({ plain }: Established, expected: Uint8Array | string): Promise<void> {
  expectAll(await plain.readToEnd(), expected);
}

/** Every order in which the two sides can end. */
const orders: Readonly<Record<string, (ends: Established) => Promise<unknown>>> = {
  "the cleartext side first": async (ends) => {
    ends.plain.finish();
    await peerReads(ends, "");
    ends.peer.link.finish();
    await plainReads(ends, "");
  },
  "the encrypted side first": async (ends) => {
    ends.peer.link.finish();
    await plainReads(ends, "");
    ends.plain.finish();
    await peerReads(ends, "");
  },
  "both at once": async (ends) => {
    ends.plain.finish();
    ends.peer.link.finish();
    await Promise.all([plainReads(ends, ""), peerReads(ends, "")]);
  },
  "both at once, right behind data": async (ends) => {
    ends.plain.write(data).catch(() => undefined);
    ends.plain.finish();
    ends.peer.send(data).catch(() => undefined);
    ends.peer.link.finish();
    await Promise.all([plainReads(ends, data), peerReads(ends, data)]);
  },
  "the cleartext side first, and then data comes back": async (ends) => {
    ends.plain.write(data).catch(() => undefined);
    ends.plain.finish();
    await peerReads(ends, data);
    ends.peer.send(data).catch(() => undefined);
    ends.peer.link.finish();
    await plainReads(ends, data);
  },
  "the encrypted side first, and then data comes back": async (ends) => {
    ends.peer.send(data).catch(() => undefined);
    ends.peer.link.finish();
    await plainReads(ends, data);
    ends.plain.write(data).catch(() => undefined);
    ends.plain.finish();
    await peerReads(ends, data);
  },
};

/** Both sides' sockets, which end by themselves when both directions have; nothing closes or resets them. */
async function gone({ plain, peer }: Established): Promise<void> {
  await Promise.all([plain.closed(), peer.link.closed()]);
}

async function untilFree(id: number, descriptors: number): Promise<void> {
  await until(() => (descriptorsOf(id) === descriptors ? true : undefined), "the descriptors to be free");
}

inOwnNetwork(import.meta.url, "no orderly end of a connection is a reset", () => {
  for (const end of ["-d", "-e"] as const) {
    test(`spiped ${end} never resets a connection whose sides both ended, in any order`, limits, async (t) => {
      const one: OneEnd = await (end === "-d" ? startServerEnd : startClientEnd)(t, { kind: "tcp", flags });
      const { command } = one.spiped;
      const descriptors = descriptorsOf(command.id);
      for (const [order, finish] of Object.entries(orders)) {
        const before = abortsSoFar();
        for (let round = 1; round <= rounds; round += 1) {
          const ends = await one.establish(quick);
          await finish(ends);
          await gone(ends);
        }
        await untilFree(command.id, descriptors);
        assert.equal(abortsSoFar() - before, 0, order);
      }
      assert.deepEqual(connectionLines(command), []);
      assert.deepEqual(await stopAndGetLines(one.spiped), []);
    });
  }

  test("spiped -e passes on an end that came before the far end was connected, without a reset", limits, async (t) => {
    const end = await startClientEnd(t, { kind: "tcp", flags });
    const before = abortsSoFar();
    for (let round = 1; round <= rounds; round += 1) {
      const { app, peer } = await end.server(quick);
      app.write(data).catch(() => undefined);
      app.finish();
      await peer.handshake();
      const ends = { peer, plain: app };
      await peerReads(ends, data);
      peer.link.finish();
      await plainReads(ends, "");
      await gone(ends);
    }
    assert.equal(abortsSoFar() - before, 0);
    assert.deepEqual(await stopAndGetLines(end.spiped), []);
  });

  test("spiped -d passes on an end that comes right after the handshake, without a reset", limits, async (t) => {
    const end = await startServerEnd(t, { kind: "tcp", flags });
    const before = abortsSoFar();
    for (let round = 1; round <= rounds; round += 1) {
      const peer = await end.client(quick);
      await peer.sendNonce();
      await peer.readNonce();
      // The shared value if both sides disable forward secrecy.
      peer.assumeSharedValue(1n);
      peer.write(Buffer.concat([peer.macedPublicValue(), peer.sealAll(data)])).catch(() => undefined);
      peer.link.finish();
      const ends = { peer, plain: await end.target.next() };
      await plainReads(ends, data);
      await peer.readPublicValue();
      ends.plain.finish();
      await peerReads(ends, "");
      await gone(ends);
    }
    assert.equal(abortsSoFar() - before, 0);
    assert.deepEqual(await stopAndGetLines(end.spiped), []);
  });

  test("a tunnel of ours at both ends never resets a connection that ends in an orderly way", limits, async (t) => {
    const tunnel = await startTunnel(t, { clientFlags: flags, serverFlags: flags });
    const before = abortsSoFar();
    for (let round = 1; round <= rounds; round += 1) {
      const { app, service } = await tunnel.connectThrough();
      const [first, second] = round % 2 === 0 ? [app, service] : [service, app];
      first.write(data).catch(() => undefined);
      first.finish();
      // In every third round, the other side does not wait for that.
      if (round % 3 !== 0) expectAll(await second.readToEnd(), data);
      second.write(data).catch(() => undefined);
      second.finish();
      expectAll(await first.readToEnd(), data);
      if (round % 3 === 0) expectAll(await second.readToEnd(), data);
      await Promise.all([app.closed(), service.closed()]);
    }
    assert.deepEqual(await stopAndGetLines(tunnel.client), []);
    assert.deepEqual(await stopAndGetLines(tunnel.server), []);
    assert.equal(abortsSoFar() - before, 0);
  });

  test("the system's counter of resets counts one", limits, async (t) => {
    const end = await startServerEnd(t, { kind: "tcp", flags });
    const { peer, plain } = await end.establish(quick);
    const before = abortsSoFar();
    plain.reset();
    assert.equal((await peer.receiveToEnd()).end, "reset");
    assert.ok(abortsSoFar() - before >= 2, `${abortsSoFar() - before} counted`);
  });
});
