// One connection until it is established: dialing and the handshake in both roles, every way in which they fail or time
// out, and what each side sees. The table is in docs/protocol.md, "How a connection ends".

import assert from "node:assert/strict";
import { type TestContext, test } from "node:test";
import { SpipedError } from "#dist/errors.js";
import { DescriptorBudget } from "#dist/net/descriptors.js";
import { KeyRing } from "#dist/protocol/key-ring.js";
import { dialedTarget } from "#dist/tunnel/target.js";
import { freeAddress } from "../../support/addresses.js";
import { contractLimits as limits } from "../../support/cleanup.js";
import { Listener } from "../../support/listener.js";
import { ReferencePeer } from "../../support/reference-peer.js";
import { p } from "../../support/reference-protocol.js";
import { acceptedBefore } from "../support/accepted.js";
import { keyFile, RecordingChannel, runConnection, socketAddressOf, timeoutMs } from "../support/connections.js";
import { deafAddress } from "../support/deaf.js";
import { established, peerOptions } from "../support/established.js";
import { sharedKeyOf } from "../support/handshakes.js";
import { eventLoopTurns } from "../support/sink.js";

const roles = ["encrypt", "decrypt"] as const;
const kinds = ["tcp", "unix"] as const;

test("encrypt: uses the key at the time of the handshake, not of the connection", limits, async (t) => {
  const listener = await Listener.listen(t, "tcp");
  let key = sharedKeyOf(Buffer.from("the key before"));
  await runConnection(t, "encrypt", [socketAddressOf(listener.address)], { keys: () => KeyRing.of(key).offer });
  key = sharedKeyOf(keyFile);
  await ReferencePeer.server(await listener.next(), peerOptions()).handshake();
});

test("encrypt: dials the target before the application has sent anything", limits, async (t) => {
  const listener = await Listener.listen(t, "tcp");
  await runConnection(t, "encrypt", [socketAddressOf(listener.address)]);
  const target = await listener.next();
  assert.equal((await target.read(32)).length, 32, "and is sent the nonce at once");
});

for (const kind of kinds) {
  test(`encrypt on ${kind}: the target is not listening: the application is reset`, limits, async (t) => {
    const address = socketAddressOf(await freeAddress(t, kind));
    const { dialer, source, report } = await runConnection(t, "encrypt", [address], { kind });
    const { reason, phase, error } = await report();
    assert.deepEqual([reason, phase], ["connect-failed", "dialing"]);
    assert.match(error?.message ?? "", /^cannot connect to target\.example:80: /);
    assert.deepEqual(source.calls, ["reset"]);
    assert.equal(await dialer.endWhileOpen(), "reset");
  });

  for (const fault of [{ macIsWrong: true }, { y: p }] as const) {
    const what = "y" in fault ? "a public value out of range" : "a wrong MAC";
    test(`encrypt on ${kind}: the server sends ${what}: the application is reset`, limits, async (t) => {
      const listener = await Listener.listen(t, kind);
      const { dialer, source, report } = await runConnection(t, "encrypt", [socketAddressOf(listener.address)], {
        kind,
      });
      const peer = ReferencePeer.server(await listener.next(), peerOptions());
      await peer.handshake(fault);
      const { reason, phase } = await report();
      assert.deepEqual([reason, phase], ["handshake-failed", "handshaking"]);
      assert.deepEqual(source.calls, ["reset"]);
      assert.equal(await dialer.endWhileOpen(), "reset");
      await peer.link.end();
      assert.equal(peer.link.waitingBytes, 0, "the server is told nothing");
    });

    test(
      `decrypt on ${kind}: the client sends ${what}: it is closed, and the target is not dialed`,
      limits,
      async (t) => {
        const listener = await Listener.listen(t, kind);
        const { dialer, source, report } = await runConnection(t, "decrypt", [socketAddressOf(listener.address)], {
          kind,
        });
        const peer = ReferencePeer.client(dialer, peerOptions());
        await peer.sendNonce();
        await peer.readNonce();
        await peer.write(peer.macedPublicValue(fault));
        const { reason, phase } = await report();
        assert.deepEqual([reason, phase], ["handshake-failed", "handshaking"]);
        assert.deepEqual(source.calls, ["close"]);
        await dialer.end();
        assert.equal(dialer.waitingBytes, 0, "the client is told nothing");
        assert.equal(await acceptedBefore(t, listener), 0);
      },
    );
  }

  test(
    `encrypt on ${kind}: the server closes during the handshake: it fails, and the application is reset`,
    limits,
    async (t) => {
      for (const cut of [0, 31, 32, 100]) {
        const listener = await Listener.listen(t, kind);
        const { dialer, source, report } = await runConnection(t, "encrypt", [socketAddressOf(listener.address)], {
          kind,
        });
        const server = await listener.next();
        await server.write(new Uint8Array(cut));
        server.finish();
        const { reason, error } = await report();
        assert.equal(reason, "handshake-failed");
        const guess = "; it may have a different key, or it requires forward secrecy, which is off at this end";
        const hint = cut === 0 ? "" : guess;
        if (cut > 0) assert.match(error?.hint ?? "", /key-id/);
        assert.equal(error?.message, `the peer closed the connection after ${cut} of 320 handshake bytes${hint}`);
        assert.deepEqual(source.calls, ["reset"]);
        assert.equal(await dialer.endWhileOpen(), "reset");
        await server.closed();
      }
    },
  );

  test(
    `decrypt on ${kind}: the client closes during the handshake: it fails, and the target is not dialed`,
    limits,
    async (t) => {
      for (const cut of [0, 31, 32, 319]) {
        const listener = await Listener.listen(t, kind);
        const { dialer, source, report } = await runConnection(t, "decrypt", [socketAddressOf(listener.address)], {
          kind,
        });
        await dialer.write(new Uint8Array(cut));
        dialer.finish();
        const { reason, error } = await report();
        assert.equal(reason, "handshake-failed");
        assert.equal(error?.message, `the peer closed the connection after ${cut} of 320 handshake bytes`);
        assert.deepEqual(source.calls, ["close"]);
        await dialer.closed();
        assert.equal(await acceptedBefore(t, listener), 0);
      }
    },
  );

  test(`decrypt on ${kind}: the target is not listening: the client is reset`, limits, async (t) => {
    const address = socketAddressOf(await freeAddress(t, kind));
    const { dialer, source, report } = await runConnection(t, "decrypt", [address], { kind });
    const peer = ReferencePeer.client(dialer, peerOptions());
    await peer.sendNonce();
    await peer.readNonce();
    await peer.write(peer.macedPublicValue());
    const { reason, phase } = await report();
    assert.deepEqual([reason, phase], ["connect-failed", "client-known"]);
    assert.deepEqual(source.calls, ["reset"]);
    assert.equal(await dialer.endWhileOpen(), "reset");
  });
}

test("encrypt: the target does not answer: timed out, and the application is reset", limits, async (t) => {
  const deaf = await deafAddress(t);
  t.mock.timers.enable({ apis: ["setTimeout"] });
  const { dialer, source, reports, report } = await runConnection(t, "encrypt", [deaf]);
  t.mock.timers.tick(timeoutMs - 1);
  assert.equal(reports.length, 0);
  t.mock.timers.tick(1);
  const { reason, phase } = await report();
  assert.deepEqual([reason, phase], ["timed-out", "dialing"]);
  assert.deepEqual(source.calls, ["reset"]);
  assert.equal(await dialer.endWhileOpen(), "reset");
});

test("encrypt: the server is silent after its nonce: timed out, and the application is reset", limits, async (t) => {
  const listener = await Listener.listen(t, "tcp");
  t.mock.timers.enable({ apis: ["setTimeout"] });
  const { dialer, source, reports, report } = await runConnection(t, "encrypt", [socketAddressOf(listener.address)]);
  const server = await listener.next();
  await server.write(new Uint8Array(32));
  assert.equal((await server.read(320)).length, 320);
  t.mock.timers.tick(timeoutMs - 1);
  await eventLoopTurns();
  assert.equal(reports.length, 0);
  t.mock.timers.tick(1);
  const { reason, phase, error } = await report();
  assert.deepEqual([reason, phase], ["timed-out", "handshaking"]);
  assert.match(error?.message ?? "", /^handshake not finished after 60 s$/);
  assert.deepEqual(source.calls, ["reset"]);
  assert.equal(await dialer.endWhileOpen(), "reset");
  await server.end();
});

test("encrypt: connecting and the handshake have separate time limits", limits, async (t) => {
  const listener = await Listener.listen(t, "tcp");
  const deaf = await deafAddress(t);
  t.mock.timers.enable({ apis: ["setTimeout"] });
  const targets = [deaf, socketAddressOf(listener.address)];
  const { reports } = await runConnection(t, "encrypt", targets, { timeoutMs: 1_000 });
  t.mock.timers.tick(250);
  const server = await listener.next();
  await server.read(32);
  t.mock.timers.tick(999);
  await eventLoopTurns();
  assert.equal(reports.length, 0);
});

test("decrypt: the client is silent: timed out, closed, and the target is not dialed", limits, async (t) => {
  for (const sent of [0, 1, 32, 319]) {
    const listener = await Listener.listen(t, "tcp");
    t.mock.timers.enable({ apis: ["setTimeout"] });
    const { dialer, source, reports, report } = await runConnection(t, "decrypt", [socketAddressOf(listener.address)]);
    await dialer.write(new Uint8Array(sent));
    await eventLoopTurns();
    t.mock.timers.tick(timeoutMs - 1);
    await eventLoopTurns();
    assert.equal(reports.length, 0);
    t.mock.timers.tick(1);
    const { reason, phase } = await report();
    assert.deepEqual([reason, phase], ["timed-out", "handshaking"]);
    assert.deepEqual(source.calls, ["close"]);
    await dialer.end();
    assert.equal(await acceptedBefore(t, listener), 0);
    t.mock.timers.reset();
  }
});

test("decrypt: dials the target once the client is authenticated, and not before", limits, async (t) => {
  const listener = await Listener.listen(t, "tcp");
  const { dialer } = await runConnection(t, "decrypt", [socketAddressOf(listener.address)]);
  const peer = ReferencePeer.client(dialer, peerOptions());
  await peer.sendNonce();
  await peer.readNonce();
  const maced = peer.macedPublicValue();
  await peer.write(maced.subarray(0, 287));
  await eventLoopTurns();
  assert.equal(await acceptedBefore(t, listener), 0);
  await peer.write(maced.subarray(287));
  await listener.next();
});

test("decrypt: exchanges keys while dialing the target, so that it costs no time", limits, async (t) => {
  const deaf = await deafAddress(t);
  t.mock.timers.enable({ apis: ["setTimeout"] });
  const { dialer, source, reports, report } = await runConnection(t, "decrypt", [deaf]);
  const peer = ReferencePeer.client(dialer, peerOptions());
  await peer.handshake();
  t.mock.timers.tick(timeoutMs - 1);
  await eventLoopTurns();
  assert.equal(reports.length, 0);
  t.mock.timers.tick(1);
  const { reason, phase } = await report();
  assert.deepEqual([reason, phase], ["timed-out", "client-known"]);
  assert.deepEqual(source.calls, ["reset"]);
  assert.equal(await dialer.endWhileOpen(), "reset");
});

/** An authenticated client that waits for a slot until it is given one. */
async function waitingClient(t: TestContext) {
  const listener = await Listener.listen(t, "tcp");
  t.mock.timers.enable({ apis: ["setTimeout"] });
  let givePlace: () => void = () => undefined;
  let nowWaits: () => void = () => undefined;
  const waits = new Promise<void>((resolve) => {
    nowWaits = resolve;
  });
  const place = new Promise<void>((resolve) => {
    givePlace = resolve;
  });
  const running = await runConnection(t, "decrypt", [socketAddressOf(listener.address)], {
    admit: () => {
      nowWaits();
      return place;
    },
  });
  const peer = ReferencePeer.client(running.dialer, peerOptions());
  await peer.sendNonce();
  await peer.readNonce();
  await peer.write(peer.macedPublicValue());
  await waits;
  return { ...running, listener, peer, givePlace };
}

test("decrypt: a client may wait for a slot indefinitely, and then has its full time limit", limits, async (t) => {
  const { peer, listener, reports, givePlace } = await waitingClient(t);
  for (let count = 0; count < 10; count += 1) {
    t.mock.timers.tick(timeoutMs);
    await eventLoopTurns();
  }
  assert.equal(reports.length, 0);
  givePlace();
  await eventLoopTurns();
  t.mock.timers.tick(timeoutMs - 1);
  await peer.readPublicValue();
  await listener.next();
  assert.equal(reports.length, 0);
});

test("decrypt: waiting for a connection slot does not count as handshake time", limits, async (t) => {
  let nowMs = 1_000;
  t.mock.method(performance, "now", () => nowMs);
  const { connection, peer, givePlace } = await waitingClient(t);
  nowMs += 40_000;
  givePlace();
  await peer.readPublicValue();
  while (connection.handshakeMs === undefined) await eventLoopTurns();
  assert.equal(connection.handshakeMs, 0);
  nowMs += 5;
  assert.equal(connection.ageMs, 40_005);
});

for (const how of ["finish", "reset"] as const) {
  for (const when of ["while it waits", "when it has its place"]) {
    test(`decrypt: notices a client that waits for a slot and goes by a ${how} ${when}`, limits, async (t) => {
      const { dialer, source, listener, report, givePlace } = await waitingClient(t);
      dialer[how]();
      while (!source.hasEnded()) await eventLoopTurns();
      // Within a second, however long the handshake may take.
      if (when === "while it waits") t.mock.timers.tick(1_000);
      else givePlace();
      const { reason, phase, error } = await report();
      assert.deepEqual([reason, phase], ["timed-out", "client-known"]);
      assert.match(error?.message ?? "", /^the client disconnected after waiting \d+\.\d s for a connection slot$/);
      const checks = t.mock.method(source, "hasEnded");
      t.mock.timers.tick(10_000);
      assert.equal(checks.mock.callCount(), 0, "it is not checked any more");
      assert.equal(await acceptedBefore(t, listener), 0, "and the target never hears of it");
    });
  }
}

test(
  "decrypt: sends nothing to a client that requires forward secrecy when this side has turned it off",
  limits,
  async (t) => {
    const listener = await Listener.listen(t, "tcp");
    const targets = [socketAddressOf(listener.address)];
    const { dialer, report } = await runConnection(t, "decrypt", targets, { forwardSecrecy: "require" });
    const peer = ReferencePeer.client(dialer, peerOptions());
    await peer.sendNonce();
    await peer.readNonce();
    await peer.write(peer.macedPublicValue());
    assert.equal((await report()).reason, "handshake-failed");
    await dialer.end();
    assert.equal(dialer.waitingBytes, 0);
  },
);

for (const role of roles) {
  test(`${role}: cancelled in the handshake, it is reported once and sends nothing`, limits, async (t) => {
    const listener = await Listener.listen(t, "tcp");
    const { connection, dialer, reports, report } = await runConnection(t, role, [socketAddressOf(listener.address)]);
    const link = role === "encrypt" ? await listener.next() : dialer;
    await link.read(32);
    connection.cancel();
    assert.equal((await report()).reason, "cancelled");
    await link.end();
    await eventLoopTurns();
    assert.equal(link.waitingBytes, 0);
    assert.equal(reports.length, 1);
  });

  test(`${role}: cancelled while keys are computed on another thread, it stays cancelled`, limits, async (t) => {
    const listener = await Listener.listen(t, "tcp");
    const running = await runConnection(t, role, [socketAddressOf(listener.address)], { forwardSecrecy: "allow" });
    const link = role === "encrypt" ? await listener.next() : running.dialer;
    const peer = (role === "encrypt" ? ReferencePeer.server : ReferencePeer.client)(link, peerOptions({ x: 5n }));
    await peer.sendNonce();
    await peer.readNonce();
    if (role === "encrypt") await peer.readPublicValue();
    await peer.write(peer.macedPublicValue());
    await eventLoopTurns(1);
    running.connection.cancel();
    assert.equal((await running.report()).reason, "cancelled");
    await link.end();
    // The thread finishes eventually; another exponentiation of the same kind comes after it.
    const other = await established(t, role, { forwardSecrecy: "allow" });
    other.connection.cancel();
    await other.report();
    assert.equal(running.reports.length, 1);
  });
}

test("encrypt: cancelled while dialing, it is reported once", limits, async (t) => {
  const { connection, dialer, reports, report } = await runConnection(t, "encrypt", [await deafAddress(t)]);
  connection.cancel();
  const { reason, phase } = await report();
  assert.deepEqual([reason, phase], ["cancelled", "dialing"]);
  assert.equal(await dialer.endWhileOpen(), "reset");
  await eventLoopTurns();
  assert.equal(reports.length, 1);
});

test("decrypt: cancelled while dialing for an authenticated client, it is reported once", limits, async (t) => {
  const { connection, dialer, reports, report } = await runConnection(t, "decrypt", [await deafAddress(t)]);
  await ReferencePeer.client(dialer, peerOptions()).handshake();
  await eventLoopTurns();
  connection.cancel();
  const { reason, phase } = await report();
  assert.deepEqual([reason, phase], ["cancelled", "client-known"]);
  await eventLoopTurns();
  assert.equal(reports.length, 1);
});

test("encrypt: in the handshake, only a failure of the target says something about the target", limits, async (t) => {
  for (const [side, recognized, message] of [
    ["source", undefined, /^source .*: gone$/],
    ["target", "silent", /^target target\.example:80: gone; the peer sent nothing \(0 of 320 handshake bytes\)$/],
  ] as const) {
    const listener = await Listener.listen(t, "tcp");
    const targets: RecordingChannel[] = [];
    const address = socketAddressOf(listener.address);
    const open = async (options: Parameters<ReturnType<typeof dialedTarget>["open"]>[0]) => {
      const inner = await dialedTarget({
        addresses: [address],
        name: "target.example:80",
        bind: undefined,
        timeoutMs,
        keepAlive: true,
        descriptors: new DescriptorBudget(100),
      }).open(options);
      const channel = new RecordingChannel(inner);
      targets.push(channel);
      return channel;
    };
    const { source, report } = await runConnection(t, "encrypt", [address], { target: { open } });
    await (await listener.next()).read(32);
    const failing = side === "source" ? source : targets[0];
    failing?.fail(new SpipedError("SPIPED_RESET", "gone"));
    const { reason, error, recognized: found } = await report();
    assert.deepEqual([reason, found?.kind], ["reset", recognized]);
    assert.match(error?.message ?? "", message);
  }
});

test("encrypt: an application that disconnects before the target answers cancels dialing", limits, async (t) => {
  const { source, reports, report } = await runConnection(t, "encrypt", [await deafAddress(t)]);
  source.fail(new SpipedError("SPIPED_RESET", "connection reset by peer"));
  const { reason, phase } = await report();
  assert.deepEqual([reason, phase], ["reset", "dialing"]);
  await eventLoopTurns();
  assert.equal(reports.length, 1);
});
