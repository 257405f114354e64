// One connection from its beginning to its one end, in both roles: how each end is reported, and how it shows on each
// side. The table is DESIGN.md's "How a connection ends".

import assert from "node:assert/strict";
import { type TestContext, test } from "node:test";
import { SpipedError } from "#dist/errors.js";
import type { ByteReader, ByteSink } from "#dist/net/byte-reader.js";
import { DescriptorBudget } from "#dist/net/descriptors.js";
import { Connection, type ConnectionOptions, type ConnectionReport } from "#dist/tunnel/connection.js";
import { freeAddress } from "../../support/addresses.js";
import { afterwards, limits, within } from "../../support/cleanup.js";
import { Listener } from "../../support/listener.js";
import { randomData } from "../../support/random-data.js";
import { type PeerOptions, ReferencePeer } from "../../support/reference-peer.js";
import { p } from "../../support/reference-protocol.js";
import type { TestSocket } from "../../support/test-socket.js";
import { acceptedBefore } from "../support/accepted.js";
import { sameBytes } from "../support/bytes.js";
import { keyFile, type Running, runConnection, socketAddressOf, timeoutMs } from "../support/connections.js";
import { deafAddress } from "../support/deaf.js";
import { sharedKeyOf } from "../support/handshakes.js";
import { MemoryChannel } from "../support/memory-channel.js";
import { turns } from "../support/sink.js";

type Role = "encrypt" | "decrypt";
type Kind = "tcp" | "unix";

/** An established connection: the reference on the packets' side, plain bytes on the other. */
interface Established extends Running {
  readonly peer: ReferencePeer;
  readonly plain: TestSocket;
  /** The target as the test has it. */
  readonly target: TestSocket;
}

async function established(
  t: TestContext,
  role: Role,
  options: Partial<ConnectionOptions> & { readonly kind?: Kind } = {},
): Promise<Established> {
  const listener = await Listener.listen(t, options.kind ?? "tcp");
  const running = await runConnection(t, role, [socketAddressOf(listener.address)], options);
  if (role === "encrypt") {
    const target = await listener.next();
    const peer = ReferencePeer.server(target, peerOptions());
    await peer.handshake();
    return alive({ ...running, peer, plain: running.dialler, target });
  }
  const peer = ReferencePeer.client(running.dialler, peerOptions());
  await peer.handshake();
  const target = await listener.next();
  return alive({ ...running, peer, plain: target, target });
}

const hello = "hello";

/** Sends `hello` each way, so that both sides of the connection under test are known to be established. */
async function alive(connection: Established): Promise<Established> {
  const { peer, plain } = connection;
  await peer.send(Buffer.from(hello));
  assert.equal(Buffer.from(await plain.read(hello.length)).toString(), hello);
  await plain.write(hello);
  assert.equal(Buffer.from(await peer.receive(hello.length)).toString(), hello);
  return connection;
}

function peerOptions(options: Partial<PeerOptions> = {}): PeerOptions {
  return { keyFile, x: 0n, ...options };
}

const roles = ["encrypt", "decrypt"] as const;
const kinds = ["tcp", "unix"] as const;

for (const role of roles) {
  for (const kind of kinds) {
    const it = `${role} on ${kind}`;

    test(`${it}: both directions end in an orderly way, each after all its data: closed`, limits, async (t) => {
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

    test(`${it}: a direction that has ended leaves the other one to go on`, limits, async (t) => {
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
      for (const fault of [
        { flippedBit: 0 },
        { flippedBit: 8 * 1_060 - 1 },
        { statedLength: 0 },
        { packetNumber: 5n },
      ]) {
        const { peer, plain, source, report } = await established(t, role, { kind });
        await peer.send(Buffer.from("right"));
        assert.equal(Buffer.from(await plain.read(5)).toString(), "right");
        await peer.write(peer.seal(Buffer.from("wrong"), fault));
        const { reason, phase, error } = await report();
        assert.deepEqual([reason, phase], ["packet-rejected", "piping"]);
        assert.match(error?.code ?? "", /^SPIPED_PACKET_(MAC|LENGTH)$/);
        assert.deepEqual(source.calls, ["reset"]);
        assert.equal(await plain.endWhileOpen(), "reset");
        assert.equal(plain.waitingBytes, 0, "nothing of the wrong packet comes out");
        await peer.link.untilWritesFail();
      }
    });

    test(`${it}: the packets end inside one: both sides are reset`, limits, async (t) => {
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

    test(`${it}: one side is gone: the other is reset`, limits, async (t) => {
      for (const gone of ["plain", "peer"] as const) {
        const { peer, plain, report } = await established(t, role, { kind });
        const [lost, left] = gone === "plain" ? [plain, peer.link] : [peer.link, plain];
        lost.reset();
        if (kind === "unix") {
          // A UNIX socket that is closed looks like an end, until somebody writes.
          await left.end();
          await (gone === "plain" ? peer.send(Buffer.from("more")) : plain.write("more"));
        }
        assert.equal((await report()).reason, "reset");
        await left.untilWritesFail();
      }
    });
  }

  test(
    `${role}: a failure that only the accepted side knows resets both, and says on which side`,
    limits,
    async (t) => {
      const { peer, plain, source, report } = await established(t, role);
      source.fail(new SpipedError("SPIPED_RESET", "connection reset"));
      const { reason, error } = await report();
      assert.equal(reason, "reset");
      assert.equal(error?.message, "source somebody: connection reset");
      assert.equal(await plain.endWhileOpen(), "reset");
      assert.equal(await peer.link.endWhileOpen(), "reset");
    },
  );

  test(`${role}: a failure of the target says on which side`, limits, async (t) => {
    const { target, report } = await established(t, role);
    target.reset();
    const { reason, error } = await report();
    assert.deepEqual([reason, error?.message], ["reset", "target target.example:80: connection reset"]);
  });

  test(`${role}: a reset right behind packets is no orderly end`, limits, async (t) => {
    const { peer, plain, report } = await established(t, role);
    // Both before the connection under test gets to read anything.
    const sent = peer.send(Buffer.from("half of it"));
    peer.link.reset();
    await sent;
    assert.equal(await plain.endWhileOpen(), "reset", "whoever reads this would take it for the whole");
    assert.equal((await report()).reason, "reset");
  });

  test(`${role}: a reset right behind cleartext is no orderly end`, limits, async (t) => {
    const { peer, plain, report } = await established(t, role);
    const sent = plain.write("half of it");
    plain.reset();
    await sent;
    assert.equal(await peer.link.endWhileOpen(), "reset", "whoever reads this would take it for the whole");
    assert.equal((await report()).reason, "reset");
  });

  test(`${role}: a connection is reported once, whatever happens after its end`, limits, async (t) => {
    const { connection, peer, plain, source, reports, report } = await established(t, role);
    await peer.write(peer.seal(Buffer.from("wrong"), { flippedBit: 1 }));
    await report();
    connection.cancel();
    source.fail(new SpipedError("SPIPED_RESET", "too late"));
    plain.reset();
    peer.link.reset();
    await Promise.all([plain.closed(), peer.link.closed()]);
    await turns();
    assert.equal(reports.length, 1);
    assert.deepEqual(source.calls, ["reset"]);
  });

  test(`${role}: no time limit applies to a connection that is established`, limits, async (t) => {
    t.mock.timers.enable({ apis: ["setTimeout"] });
    const { peer, plain, reports } = await established(t, role, { timeoutMs: 5_000 });
    t.mock.timers.tick(50_000);
    await peer.send(Buffer.from("still there"));
    assert.equal(Buffer.from(await plain.read(11)).toString(), "still there");
    assert.equal(reports.length, 0);
  });

  test(`${role}: packets that come right behind the handshake are not lost`, limits, async (t) => {
    const listener = await Listener.listen(t, "tcp");
    const { dialler } = await runConnection(t, role, [socketAddressOf(listener.address)]);
    const link = role === "encrypt" ? await listener.next() : dialler;
    const peer = (role === "encrypt" ? ReferencePeer.server : ReferencePeer.client)(link, peerOptions());
    await peer.sendNonce();
    await peer.readNonce();
    // Without forward secrecy y_SC is 1, so this side can seal before it has heard the other's public value.
    peer.assumeSharedValue(1n);
    await peer.write(Buffer.concat([peer.macedPublicValue(), peer.sealAll(Buffer.from("early packets"))]));
    peer.link.finish();
    const plain = role === "encrypt" ? dialler : await listener.next();
    const { bytes, end } = await plain.readToEnd();
    assert.equal(Buffer.from(bytes).toString(), "early packets");
    assert.equal(end, "fin");
  });
}

test("encrypt: bytes that cannot be delivered any more are no orderly end", limits, async (t) => {
  const listener = await Listener.listen(t, "tcp");
  const reader = new GivenReader();
  const source = Object.assign(new MemoryChannel(0), { reader });
  const sourceEnded = new Promise((resolve) => source.writable.once("finish", resolve));
  const key = sharedKeyOf(keyFile);
  const told = new Promise<ConnectionReport>((resolve) => {
    const connection = new Connection({
      role: "encrypt",
      source,
      targets: [socketAddressOf(listener.address)],
      targetName: "target.example:80",
      bind: undefined,
      key: () => key,
      forwardSecrecy: "off",
      keepAlive: true,
      timeoutMs,
      descriptors: new DescriptorBudget(Number.POSITIVE_INFINITY),
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
  while (reader.give(new Uint8Array(65_536))) await turns(3);
  reader.end();
  await turns();
  peer.link.reset();
  const { reason } = await within(told, "the end of the connection");
  assert.equal(reason, "reset", "half a megabyte is lost");
});

// The handshake, as seen from the client, and from the server.

test("encrypt: the target is dialled before the application has said anything", limits, async (t) => {
  const listener = await Listener.listen(t, "tcp");
  await runConnection(t, "encrypt", [socketAddressOf(listener.address)]);
  const target = await listener.next();
  assert.equal((await target.read(32)).length, 32, "and is sent the nonce at once");
});

for (const kind of kinds) {
  test(`encrypt on ${kind}: the target is not there: the application is reset`, limits, async (t) => {
    const address = socketAddressOf(await freeAddress(t, kind));
    const { dialler, source, report } = await runConnection(t, "encrypt", [address], { kind });
    const { reason, phase, error } = await report();
    assert.deepEqual([reason, phase], ["connect-failed", "dialling"]);
    assert.match(error?.message ?? "", /^cannot connect to target\.example:80: /);
    assert.deepEqual(source.calls, ["reset"]);
    assert.equal(await dialler.endWhileOpen(), "reset");
  });

  for (const fault of [{ macIsWrong: true }, { y: p }] as const) {
    const what = "y" in fault ? "a public value out of range" : "a wrong MAC";
    test(`encrypt on ${kind}: the server shows ${what}: the application is reset`, limits, async (t) => {
      const listener = await Listener.listen(t, kind);
      const { dialler, source, report } = await runConnection(t, "encrypt", [socketAddressOf(listener.address)], {
        kind,
      });
      const peer = ReferencePeer.server(await listener.next(), peerOptions());
      await peer.handshake(fault);
      const { reason, phase } = await report();
      assert.deepEqual([reason, phase], ["handshake-failed", "handshaking"]);
      assert.deepEqual(source.calls, ["reset"]);
      assert.equal(await dialler.endWhileOpen(), "reset");
      await peer.link.end();
      assert.equal(peer.link.waitingBytes, 0, "the server is told nothing");
    });

    test(
      `decrypt on ${kind}: the client shows ${what}: it is closed, and the target never dialled`,
      limits,
      async (t) => {
        const listener = await Listener.listen(t, kind);
        const { dialler, source, report } = await runConnection(t, "decrypt", [socketAddressOf(listener.address)], {
          kind,
        });
        const peer = ReferencePeer.client(dialler, peerOptions());
        await peer.sendNonce();
        await peer.readNonce();
        await peer.write(peer.macedPublicValue(fault));
        const { reason, phase } = await report();
        assert.deepEqual([reason, phase], ["handshake-failed", "handshaking"]);
        assert.deepEqual(source.calls, ["close"]);
        await dialler.end();
        assert.equal(dialler.waitingBytes, 0, "the client is told nothing");
        assert.equal(await acceptedBefore(t, listener), 0);
      },
    );
  }

  test(
    `encrypt on ${kind}: the server ends in the handshake: it has failed, and the application is reset`,
    limits,
    async (t) => {
      for (const cut of [0, 31, 32, 100]) {
        const listener = await Listener.listen(t, kind);
        const { dialler, source, report } = await runConnection(t, "encrypt", [socketAddressOf(listener.address)], {
          kind,
        });
        const server = await listener.next();
        await server.write(new Uint8Array(cut));
        server.finish();
        assert.equal((await report()).reason, "handshake-failed");
        assert.deepEqual(source.calls, ["reset"]);
        assert.equal(await dialler.endWhileOpen(), "reset");
        await server.closed();
      }
    },
  );

  test(
    `decrypt on ${kind}: the client ends in the handshake: it has failed, and the target is never dialled`,
    limits,
    async (t) => {
      for (const cut of [0, 31, 32, 319]) {
        const listener = await Listener.listen(t, kind);
        const { dialler, source, report } = await runConnection(t, "decrypt", [socketAddressOf(listener.address)], {
          kind,
        });
        await dialler.write(new Uint8Array(cut));
        dialler.finish();
        assert.equal((await report()).reason, "handshake-failed");
        assert.deepEqual(source.calls, ["close"]);
        await dialler.closed();
        assert.equal(await acceptedBefore(t, listener), 0);
      }
    },
  );

  test(`decrypt on ${kind}: the target is not there: the client is reset`, limits, async (t) => {
    const address = socketAddressOf(await freeAddress(t, kind));
    const { dialler, source, report } = await runConnection(t, "decrypt", [address], { kind });
    const peer = ReferencePeer.client(dialler, peerOptions());
    await peer.sendNonce();
    await peer.readNonce();
    await peer.write(peer.macedPublicValue());
    const { reason, phase } = await report();
    assert.deepEqual([reason, phase], ["connect-failed", "client-known"]);
    assert.deepEqual(source.calls, ["reset"]);
    assert.equal(await dialler.endWhileOpen(), "reset");
  });
}

test("encrypt: the target stays silent: timed out, and the application is reset", limits, async (t) => {
  const deaf = await deafAddress(t);
  t.mock.timers.enable({ apis: ["setTimeout"] });
  const { dialler, source, reports, report } = await runConnection(t, "encrypt", [deaf]);
  t.mock.timers.tick(timeoutMs - 1);
  assert.equal(reports.length, 0);
  t.mock.timers.tick(1);
  const { reason, phase } = await report();
  assert.deepEqual([reason, phase], ["timed-out", "dialling"]);
  assert.deepEqual(source.calls, ["reset"]);
  assert.equal(await dialler.endWhileOpen(), "reset");
});

test("encrypt: the server stays silent after its nonce: timed out, and the application is reset", limits, async (t) => {
  const listener = await Listener.listen(t, "tcp");
  t.mock.timers.enable({ apis: ["setTimeout"] });
  const { dialler, source, reports, report } = await runConnection(t, "encrypt", [socketAddressOf(listener.address)]);
  const server = await listener.next();
  await server.write(new Uint8Array(32));
  assert.equal((await server.read(320)).length, 320);
  t.mock.timers.tick(timeoutMs - 1);
  await turns();
  assert.equal(reports.length, 0);
  t.mock.timers.tick(1);
  const { reason, phase, error } = await report();
  assert.deepEqual([reason, phase], ["timed-out", "handshaking"]);
  assert.match(error?.message ?? "", /^the handshake took longer than 60 s$/);
  assert.deepEqual(source.calls, ["reset"]);
  assert.equal(await dialler.endWhileOpen(), "reset");
  await server.end();
});

test("encrypt: the handshake has a time limit of its own, apart from the one for connecting", limits, async (t) => {
  const listener = await Listener.listen(t, "tcp");
  const deaf = await deafAddress(t);
  t.mock.timers.enable({ apis: ["setTimeout"] });
  const targets = [deaf, socketAddressOf(listener.address)];
  const { reports } = await runConnection(t, "encrypt", targets, { timeoutMs: 1_000 });
  t.mock.timers.tick(250);
  const server = await listener.next();
  await server.read(32);
  t.mock.timers.tick(999);
  await turns();
  assert.equal(reports.length, 0);
});

test("decrypt: the client stays silent: timed out, closed, and the target never dialled", limits, async (t) => {
  for (const sent of [0, 1, 32, 319]) {
    const listener = await Listener.listen(t, "tcp");
    t.mock.timers.enable({ apis: ["setTimeout"] });
    const { dialler, source, reports, report } = await runConnection(t, "decrypt", [socketAddressOf(listener.address)]);
    await dialler.write(new Uint8Array(sent));
    await turns();
    t.mock.timers.tick(timeoutMs - 1);
    await turns();
    assert.equal(reports.length, 0);
    t.mock.timers.tick(1);
    const { reason, phase } = await report();
    assert.deepEqual([reason, phase], ["timed-out", "handshaking"]);
    assert.deepEqual(source.calls, ["close"]);
    await dialler.end();
    assert.equal(await acceptedBefore(t, listener), 0);
    t.mock.timers.reset();
  }
});

test("decrypt: the target is dialled once the client is known, and not before", limits, async (t) => {
  const listener = await Listener.listen(t, "tcp");
  const { dialler } = await runConnection(t, "decrypt", [socketAddressOf(listener.address)]);
  const peer = ReferencePeer.client(dialler, peerOptions());
  await peer.sendNonce();
  await peer.readNonce();
  const maced = peer.macedPublicValue();
  await peer.write(maced.subarray(0, 287));
  await turns();
  assert.equal(await acceptedBefore(t, listener), 0);
  await peer.write(maced.subarray(287));
  await listener.next();
});

test("decrypt: the keys are exchanged while the target is dialled, so that it costs no time", limits, async (t) => {
  const deaf = await deafAddress(t);
  t.mock.timers.enable({ apis: ["setTimeout"] });
  const { dialler, source, reports, report } = await runConnection(t, "decrypt", [deaf]);
  const peer = ReferencePeer.client(dialler, peerOptions());
  await peer.handshake();
  t.mock.timers.tick(timeoutMs - 1);
  await turns();
  assert.equal(reports.length, 0);
  t.mock.timers.tick(1);
  const { reason, phase } = await report();
  assert.deepEqual([reason, phase], ["timed-out", "client-known"]);
  assert.deepEqual(source.calls, ["reset"]);
  assert.equal(await dialler.endWhileOpen(), "reset");
});

test("decrypt: a client that requires what this side gives up is told nothing", limits, async (t) => {
  const listener = await Listener.listen(t, "tcp");
  const targets = [socketAddressOf(listener.address)];
  const { dialler, report } = await runConnection(t, "decrypt", targets, { forwardSecrecy: "require" });
  const peer = ReferencePeer.client(dialler, peerOptions());
  await peer.sendNonce();
  await peer.readNonce();
  await peer.write(peer.macedPublicValue());
  assert.equal((await report()).reason, "handshake-failed");
  await dialler.end();
  assert.equal(dialler.waitingBytes, 0);
});

for (const role of roles) {
  test(`${role}: cancelled in the handshake, it is reported once, and nobody is told anything`, limits, async (t) => {
    const listener = await Listener.listen(t, "tcp");
    const { connection, dialler, reports, report } = await runConnection(t, role, [socketAddressOf(listener.address)]);
    const link = role === "encrypt" ? await listener.next() : dialler;
    await link.read(32);
    connection.cancel();
    assert.equal((await report()).reason, "cancelled");
    await link.end();
    await turns();
    assert.equal(link.waitingBytes, 0);
    assert.equal(reports.length, 1);
  });

  test(`${role}: cancelled while keys are made on another thread, it stays cancelled`, limits, async (t) => {
    const listener = await Listener.listen(t, "tcp");
    const running = await runConnection(t, role, [socketAddressOf(listener.address)], { forwardSecrecy: "allow" });
    const link = role === "encrypt" ? await listener.next() : running.dialler;
    const peer = (role === "encrypt" ? ReferencePeer.server : ReferencePeer.client)(link, peerOptions({ x: 5n }));
    await peer.sendNonce();
    await peer.readNonce();
    if (role === "encrypt") await peer.readPublicValue();
    await peer.write(peer.macedPublicValue());
    await turns(1);
    running.connection.cancel();
    assert.equal((await running.report()).reason, "cancelled");
    await link.end();
    // The thread's work ends some time; another exponentiation of the same kind comes after it.
    const other = await established(t, role, { forwardSecrecy: "allow" });
    other.connection.cancel();
    await other.report();
    assert.equal(running.reports.length, 1);
  });
}

test("encrypt: cancelled while it dials, it is reported once", limits, async (t) => {
  const { connection, dialler, reports, report } = await runConnection(t, "encrypt", [await deafAddress(t)]);
  connection.cancel();
  const { reason, phase } = await report();
  assert.deepEqual([reason, phase], ["cancelled", "dialling"]);
  assert.equal(await dialler.endWhileOpen(), "reset");
  await turns();
  assert.equal(reports.length, 1);
});

test("decrypt: cancelled while it dials for a known client, it is reported once", limits, async (t) => {
  const { connection, dialler, reports, report } = await runConnection(t, "decrypt", [await deafAddress(t)]);
  await ReferencePeer.client(dialler, peerOptions()).handshake();
  await turns();
  connection.cancel();
  const { reason, phase } = await report();
  assert.deepEqual([reason, phase], ["cancelled", "client-known"]);
  await turns();
  assert.equal(reports.length, 1);
});

test("encrypt: an application that is gone before the target answers ends the dialling", limits, async (t) => {
  const { source, reports, report } = await runConnection(t, "encrypt", [await deafAddress(t)]);
  source.fail(new SpipedError("SPIPED_RESET", "connection reset"));
  const { reason, phase } = await report();
  assert.deepEqual([reason, phase], ["reset", "dialling"]);
  await turns();
  assert.equal(reports.length, 1);
});

/** A reader whose reads the test gives. */
class GivenReader implements ByteReader {
  #sink: ByteSink | undefined;

  readExactly(): Promise<Uint8Array> {
    throw new Error("nothing is read exactly from an application");
  }

  flowInto(sink: ByteSink): void {
    this.#sink = sink;
  }

  resume(): void {
    // The test gives no more than the pump asked for.
  }

  give(read: Uint8Array): boolean {
    assert.ok(this.#sink !== undefined, "nothing has been asked for yet");
    return this.#sink.take(read);
  }

  end(): void {
    this.#sink?.end();
  }
}
