// One established connection, in both roles: how each end is reported, and what each side sees. The table is in
// docs/protocol.md, "How a connection ends".

import assert from "node:assert/strict";
import { test } from "node:test";
import { SpipedError } from "#dist/errors.js";
import { DescriptorBudget } from "#dist/net/descriptors.js";
import { KeyRing } from "#dist/protocol/key-ring.js";
import { Connection } from "#dist/tunnel/connection.js";
import type { ConnectionReport } from "#dist/tunnel/reports.js";
import { dialedTarget } from "#dist/tunnel/target.js";
import { afterwards, contractLimits as limits, until, within } from "../../support/cleanup.js";
import { Listener } from "../../support/listener.js";
import { randomData } from "../../support/random-data.js";
import { ReferencePeer } from "../../support/reference-peer.js";
import { sameBytes } from "../support/bytes.js";
import { keyFile, runConnection, socketAddressOf, timeoutMs } from "../support/connections.js";
import { established, hello, peerOptions } from "../support/established.js";
import { sharedKeyOf } from "../support/handshakes.js";
import { ManualReader } from "../support/manual-streams.js";
import { MemoryChannel } from "../support/memory-channel.js";
import { eventLoopTurns } from "../support/sink.js";

const roles = ["encrypt", "decrypt"] as const;
const kinds = ["tcp", "unix"] as const;

for (const role of roles) {
  for (const kind of kinds) {
    const it = `${role} on ${kind}`;

    test(`${it}: both directions end in order, each after all its data: closed`, limits, async (t) => {
      const { peer, plain, source, report } = await established(t, role, { kind });
      const forward = randomData("forward", 100_000);
      const reverse = randomData("reverse", 70_000);
      const toPeer = role === "encrypt" ? forward : reverse;
      const toPlain = role === "encrypt" ? reverse : forward;
      await Promise.all([plain.write(toPeer), peer.send(toPlain)]);
      plain.finish();
      const received = await peer.receiveToEnd();
      sameBytes(received.bytes, toPeer);
      assert.equal(received.end, "fin");
      peer.link.finish();
      const { bytes, end } = await plain.readToEnd();
      sameBytes(bytes, toPlain);
      assert.equal(end, "fin");
      const { reason, error, phase, bytesForward, bytesReverse, durationMs, source: name } = await report();
      assert.deepEqual(
        { reason, error, phase, bytesForward, bytesReverse, name },
        {
          reason: "closed",
          error: undefined,
          phase: "piping",
          bytesForward: 100_000 + hello.length,
          bytesReverse: 70_000 + hello.length,
          name: "somebody",
        },
      );
      assert.ok(durationMs >= 0);
      assert.deepEqual(source.calls, ["close"]);
    });

    test(`${it}: a death is a reset until the direction has ended in order, and not afterwards`, limits, async (t) => {
      const { peer, plain, source, reports } = await established(t, role, { kind });
      assert.deepEqual(source.deaths, ["reset"]);
      const [toSource, atSource] = role === "encrypt" ? [peer.link, plain] : [plain, peer.link];
      toSource.finish();
      assert.equal((await atSource.readToEnd()).end, "fin");
      // The system has it before the connection knows.
      await until(() => source.deaths[1], "the end to be left to the system");
      assert.deepEqual(source.deaths, ["reset", "end"]);
      assert.equal(reports.length, 0, "the other direction goes on");
    });

    test(`${it}: when one direction has ended, the other continues`, limits, async (t) => {
      for (const first of ["plain", "peer"] as const) {
        const { peer, plain, reports, report } = await established(t, role, { kind });
        if (first === "plain") {
          plain.finish();
          assert.equal((await peer.receiveToEnd()).end, "fin");
          await peer.send(Buffer.from("the reply"));
          assert.equal(Buffer.from(await plain.read(9)).toString(), "the reply");
          assert.equal(reports.length, 0);
          peer.link.finish();
        } else {
          peer.link.finish();
          assert.equal(await plain.end(), "fin");
          await plain.write("the reply");
          assert.equal(Buffer.from(await peer.receive(9)).toString(), "the reply");
          assert.equal(reports.length, 0);
          plain.finish();
        }
        assert.equal((await report()).reason, "closed");
      }
    });

    test(`${it}: a packet is rejected: both sides are reset`, limits, async (t) => {
      for (const [fault, code] of [
        [{ flippedBit: 0 }, "SPIPED_PACKET_MAC"],
        [{ flippedBit: 8 * 1_060 - 1 }, "SPIPED_PACKET_MAC"],
        [{ statedLength: 0 }, "SPIPED_PACKET_LENGTH"],
        [{ statedLength: 1_025 }, "SPIPED_PACKET_LENGTH"],
        [{ packetNumber: 5n }, "SPIPED_PACKET_MAC"],
      ] as const) {
        const { peer, plain, source, report } = await established(t, role, { kind });
        await peer.send(Buffer.from("right"));
        assert.equal(Buffer.from(await plain.read(5)).toString(), "right");
        await peer.write(peer.seal(Buffer.from("wrong"), fault));
        const { reason, phase, error } = await report();
        assert.deepEqual([reason, phase], ["packet-rejected", "piping"]);
        assert.equal(error?.code, code);
        assert.deepEqual(source.calls, ["reset"]);
        assert.equal(await plain.endWhileOpen(), "reset");
        assert.equal(plain.waitingBytes, 0, "nothing of the wrong packet comes out");
        await peer.link.untilWritesFail();
      }
    });

    test(`${it}: the stream ends inside a packet: both sides are reset`, limits, async (t) => {
      for (const cut of [1, 1_059]) {
        const { peer, plain, source, report } = await established(t, role, { kind });
        await peer.write(
          Buffer.concat([peer.seal(Buffer.from("whole")), peer.seal(Buffer.from("cut")).subarray(0, cut)]),
        );
        peer.link.finish();
        const { reason, error } = await report();
        assert.equal(reason, "truncated");
        assert.match(error?.message ?? "", new RegExp(`after ${cut} of its bytes`));
        assert.deepEqual(source.calls, ["reset"]);
        assert.equal(await plain.endWhileOpen(), "reset");
        await peer.link.untilWritesFail();
      }
    });

    test(`${it}: it is cancelled: both sides are reset`, limits, async (t) => {
      const { connection, peer, plain, source, report } = await established(t, role, { kind });
      connection.cancel();
      const { reason, phase } = await report();
      assert.deepEqual([reason, phase], ["cancelled", "piping"]);
      assert.deepEqual(source.calls, ["reset"]);
      assert.equal(await plain.endWhileOpen(), "reset");
      assert.equal(await peer.link.endWhileOpen(), "reset");
    });

    test(`${it}: one side disconnects: the other is reset`, limits, async (t) => {
      for (const gone of ["plain", "peer"] as const) {
        const { peer, plain, report } = await established(t, role, { kind });
        const [lost, left] = gone === "plain" ? [plain, peer.link] : [peer.link, plain];
        lost.reset();
        if (kind === "unix") {
          // A closed UNIX socket looks like an end until something is written.
          await left.end();
          await (gone === "plain" ? peer.send(Buffer.from("more")) : plain.write("more"));
        }
        assert.equal((await report()).reason, "reset");
        await left.untilWritesFail();
      }
    });
  }

  test(`${role}: a failure that only the accepted side knows of resets both, and names the side`, limits, async (t) => {
    const { peer, plain, source, report } = await established(t, role);
    source.fail(new SpipedError("SPIPED_RESET", "connection reset by peer"));
    const { reason, error } = await report();
    assert.equal(reason, "reset");
    assert.equal(error?.message, "source somebody: connection reset by peer");
    assert.equal(await plain.endWhileOpen(), "reset");
    assert.equal(await peer.link.endWhileOpen(), "reset");
  });

  test(`${role}: a failure of the target names the side`, limits, async (t) => {
    const { target, report } = await established(t, role);
    target.reset();
    const { reason, error } = await report();
    assert.deepEqual([reason, error?.message], ["reset", "target target.example:80: connection reset by peer"]);
  });

  test(`${role}: a reset right after packets is not an orderly end`, limits, async (t) => {
    const { peer, plain, report } = await established(t, role);
    // Both before the connection under test reads anything.
    const sent = peer.send(Buffer.from("half of it"));
    peer.link.reset();
    await sent;
    assert.equal(await plain.endWhileOpen(), "reset", "a truncated stream must not look complete");
    assert.equal((await report()).reason, "reset");
  });

  test(`${role}: a reset right after cleartext is not an orderly end`, limits, async (t) => {
    const { peer, plain, report } = await established(t, role);
    const sent = plain.write("half of it");
    plain.reset();
    await sent;
    assert.equal(await peer.link.endWhileOpen(), "reset", "a truncated stream must not look complete");
    assert.equal((await report()).reason, "reset");
  });

  test(
    `${role}: a side that ends and then resets can take no end, and that is not an orderly end`,
    limits,
    async (t) => {
      for (const first of ["plain", "peer"] as const) {
        const { peer, plain, dialer, report } = await established(t, role);
        const [gone, other] = first === "plain" ? [plain, peer.link] : [peer.link, plain];
        gone.finish();
        assert.equal(await other.end(), "fin");
        gone.reset();
        await gone.closed();
        other.finish();
        const { reason, error } = await report();
        assert.equal(reason, "reset");
        assert.match(error?.message ?? "", gone === dialer ? /^source / : /^target /);
      }
    },
  );

  test(`${role}: a connection is reported once, whatever happens after its end`, limits, async (t) => {
    const { connection, peer, plain, source, reports, report } = await established(t, role);
    await peer.write(peer.seal(Buffer.from("wrong"), { flippedBit: 1 }));
    await report();
    connection.cancel();
    source.fail(new SpipedError("SPIPED_RESET", "too late"));
    plain.reset();
    peer.link.reset();
    await Promise.all([plain.closed(), peer.link.closed()]);
    await eventLoopTurns();
    assert.equal(reports.length, 1);
    assert.deepEqual(source.calls, ["reset"]);
  });

  test(`${role}: an established connection has no time limit`, limits, async (t) => {
    t.mock.timers.enable({ apis: ["setTimeout"] });
    const { peer, plain, reports } = await established(t, role, { timeoutMs: 5_000 });
    t.mock.timers.tick(50_000);
    await peer.send(Buffer.from("still there"));
    assert.equal(Buffer.from(await plain.read(11)).toString(), "still there");
    assert.equal(reports.length, 0);
  });

  test(`${role}: packets right after the handshake are not lost`, limits, async (t) => {
    const listener = await Listener.listen(t, "tcp");
    const { dialer } = await runConnection(t, role, [socketAddressOf(listener.address)]);
    const link = role === "encrypt" ? await listener.next() : dialer;
    const peer = (role === "encrypt" ? ReferencePeer.server : ReferencePeer.client)(link, peerOptions());
    await peer.sendNonce();
    await peer.readNonce();
    // Without forward secrecy y_SC is 1, so this side can seal before it has the other's public value.
    peer.assumeSharedValue(1n);
    await peer.write(Buffer.concat([peer.macedPublicValue(), peer.sealAll(Buffer.from("early packets"))]));
    peer.link.finish();
    const plain = role === "encrypt" ? dialer : await listener.next();
    const { bytes, end } = await plain.readToEnd();
    assert.equal(Buffer.from(bytes).toString(), "early packets");
    assert.equal(end, "fin");
  });
}

for (const role of roles) {
  test(`${role}: with endWithTarget, ends when the target has, and delivers everything from it`, limits, async (t) => {
    const { peer, plain, target, source, report } = await established(t, role, { endWithTarget: true });
    const last = randomData("last words", 70_000);
    if (role === "encrypt") await peer.send(last);
    else await plain.write(last);
    target.finish();
    const { reason, bytesReverse } = await report();
    assert.deepEqual([reason, bytesReverse], ["closed", last.length + hello.length]);
    assert.deepEqual(source.calls, ["close"]);
    if (role === "encrypt") sameBytes((await plain.readToEnd()).bytes, last);
    else sameBytes((await peer.receiveToEnd()).bytes, last);
  });

  test(`${role}: with endWithTarget, continues after the source's end until the target's`, limits, async (t) => {
    const { peer, plain, target, dialer, reports, report } = await established(t, role, { endWithTarget: true });
    dialer.finish();
    assert.equal(await target.end(), "fin");
    if (role === "encrypt") await peer.send(Buffer.from("the reply"));
    else await plain.write("the reply");
    const reply = role === "encrypt" ? plain.read(9) : peer.receive(9);
    assert.equal(Buffer.from(await reply).toString(), "the reply");
    assert.equal(reports.length, 0);
    target.finish();
    assert.equal((await report()).reason, "closed");
  });
}

test("encrypt: undeliverable bytes are not an orderly end", limits, async (t) => {
  const listener = await Listener.listen(t, "tcp");
  const reader = new ManualReader();
  const source = Object.assign(new MemoryChannel(0), { reader });
  const sourceEnded = new Promise((resolve) => source.writable.once("finish", resolve));
  const key = sharedKeyOf(keyFile);
  const told = new Promise<ConnectionReport>((resolve) => {
    const connection = new Connection({
      role: "encrypt",
      source,
      target: dialedTarget({
        addresses: [socketAddressOf(listener.address)],
        name: "target.example:80",
        bind: undefined,
        timeoutMs,
        keepAlive: true,
        descriptors: new DescriptorBudget(Number.POSITIVE_INFINITY),
      }),
      keys: () => KeyRing.of(key).offer,
      forwardSecrecy: "off",
      timeoutMs,
      endWithTarget: false,
      ended: resolve,
    });
    afterwards(t, () => connection.cancel());
  });
  const peer = ReferencePeer.server(await listener.next(), peerOptions());
  await peer.handshake();
  // The other direction ends, so that this one decides how the connection has ended.
  peer.link.finish();
  await within(sourceEnded, "the end of the other direction");
  peer.link.socket.pause();
  for (let isFull = false; !isFull; ) {
    const { resumes } = reader;
    const goesOn = reader.give(new Uint8Array(65_536));
    await eventLoopTurns(3);
    isFull = !goesOn && reader.resumes === resumes;
  }
  reader.end();
  await eventLoopTurns();
  peer.link.reset();
  const { reason } = await within(told, "the end of the connection");
  assert.equal(reason, "reset", "what waited is lost");
});
