// A reset on one side during an end on the other, many times: only its own connection ends.

import assert from "node:assert/strict";
import { test } from "node:test";
import { limits, until } from "../support/cleanup.js";
import { allEnds, type Established, isAlive, startServerEnd } from "../support/one-end.js";
import { descriptorsOf } from "../support/processes.js";
import { randomData } from "../support/random-data.js";
import { connectionLines, startTunnel } from "../support/tunnel.js";

const rounds = 100;
const quick = { x: 0n };
const flags = ["-f", "-n", "0"];
const data = randomData("resets and ends", 5_000);

/** Combinations of a reset and an end; some with data in flight that is not read. */
const meetings: Readonly<Record<string, (ends: Established) => void>> = {
  "an end of the encrypted side, then a reset of the cleartext side": ({ peer, plain }) => {
    peer.link.finish();
    plain.reset();
  },
  "a reset of the cleartext side, then an end of the encrypted side": ({ peer, plain }) => {
    plain.reset();
    peer.link.finish();
  },
  "an end of the cleartext side, then a reset of the encrypted side": ({ peer, plain }) => {
    plain.finish();
    peer.link.reset();
  },
  "a reset of the encrypted side, then an end of the cleartext side": ({ peer, plain }) => {
    peer.link.reset();
    plain.finish();
  },
  "data and an end on the encrypted side, and a reset of the cleartext side": ({ peer, plain }) => {
    peer.send(data).catch(() => undefined);
    peer.link.finish();
    plain.reset();
  },
  "data and an end on the cleartext side, and a reset of the encrypted side": ({ peer, plain }) => {
    plain.write(data).catch(() => undefined);
    plain.finish();
    peer.link.reset();
  },
  "ends of both sides, and then a reset of the cleartext side": ({ peer, plain }) => {
    peer.link.finish();
    plain.finish();
    plain.reset();
  },
  "ends of both sides, and then a reset of the encrypted side": ({ peer, plain }) => {
    plain.finish();
    peer.link.finish();
    peer.link.reset();
  },
  "resets of both sides": ({ peer, plain }) => {
    peer.link.reset();
    plain.reset();
  },
};

for (const { name, kind, start } of allEnds) {
  test(`${name} ends only its connection when a reset meets an end`, limits, async (t) => {
    const end = await start(t, flags);
    const { command } = end.spiped;
    const witness = await end.establish();
    assert.ok(await isAlive(witness));
    const before = descriptorsOf(command.id);
    for (const [what, meet] of Object.entries(meetings)) {
      for (let round = 1; round <= rounds; round += 1) {
        const ends = await end.establish(quick);
        meet(ends);
        // On a UNIX socket, only a writer notices the close, so one side writes.
        if (kind === "unix")
          for (const socket of [ends.plain, ends.peer.link]) socket.write("x").catch(() => undefined);
        // The test's side ends what is still open.
        for (const socket of [ends.plain, ends.peer.link]) socket.finish();
      }
      await until(() => (descriptorsOf(command.id) === before ? true : undefined), `the descriptors of ${what}`);
      assert.ok(await isAlive(witness), what);
    }
    const lines = connectionLines(command);
    assert.ok(lines.length <= rounds * Object.keys(meetings).length, "one line for each connection at most");
    assert.deepEqual(
      lines.filter((line) => /internal/.test(line)),
      [],
    );
    assert.ok(!command.isGone);
  });
}

test("a tunnel of ours at both ends survives a thousand resets during ends", limits, async (t) => {
  const tunnel = await startTunnel(t, { clientFlags: flags, serverFlags: flags });
  const witness = await tunnel.connectThrough();
  const isWitnessAlive = async (): Promise<boolean> => {
    await witness.app.write("hello");
    return Buffer.from(await witness.service.read(5)).toString() === "hello";
  };
  assert.ok(await isWitnessAlive());
  const ids = [tunnel.client.command.id, tunnel.server.command.id];
  const before = ids.map(descriptorsOf);
  for (let round = 1; round <= 1_000; round += 1) {
    const { app, service } = await tunnel.connectThrough();
    const [first, second] = round % 2 === 0 ? [app, service] : [service, app];
    if (round % 3 === 0) first.write(data).catch(() => undefined);
    first.finish();
    second.reset();
  }
  for (const [index, id] of ids.entries()) {
    await until(() => (descriptorsOf(id) === before[index] ? true : undefined), "the descriptors to be free");
  }
  assert.ok(await isWitnessAlive());
});

test("a client's reset in the middle of its handshake leaves nothing open", limits, async (t) => {
  const end = await startServerEnd(t, { kind: "tcp", flags });
  const { command } = end.spiped;
  const witness = await end.establish();
  assert.ok(await isAlive(witness));
  // If an end came before the reset, only a writer notices the reset.
  end.target.onConnection((service) => service.finish());
  const before = descriptorsOf(command.id);
  for (let round = 1; round <= 300; round += 1) {
    const peer = await end.client(quick);
    if (round % 3 > 0) await peer.sendNonce();
    if (round % 3 > 1) {
      await peer.readNonce();
      peer.write(peer.macedPublicValue()).catch(() => undefined);
    }
    if (round % 2 === 0) peer.link.finish();
    peer.link.reset();
  }
  await until(() => (descriptorsOf(command.id) === before ? true : undefined), "the descriptors to be free");
  assert.ok(await isAlive(witness));
  await (await end.client()).handshake();
});
