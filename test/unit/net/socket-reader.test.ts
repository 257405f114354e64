// Reading real sockets, TCP and UNIX, into shared memory.

import assert from "node:assert/strict";
import { once } from "node:events";
import { connect, type Socket } from "node:net";
import { type TestContext, test } from "node:test";
import { createReadBuffer, READ_BUFFER_BYTES, SocketReader } from "#dist/net/socket-reader.js";
import { socketOptionsOf } from "../../support/addresses.js";
import { afterwards, contractLimits as limits, until, within } from "../../support/cleanup.js";
import { Listener } from "../../support/listener.js";
import { randomData } from "../../support/random-data.js";
import type { TestSocket } from "../../support/test-socket.js";
import { sameBytes } from "../support/bytes.js";
import { rejectsEarlyEnd } from "../support/errors.js";
import { eventLoopTurns, KeepingSink } from "../support/sink.js";

interface Connected {
  readonly reader: SocketReader;
  /** The socket that the reader reads. */
  readonly socket: Socket;
  readonly peer: TestSocket;
  readonly shared: Uint8Array;
}

/** A socket created like those of `dial`, and its peer. */
async function connected(t: TestContext, kind: "tcp" | "unix", exactLength: number): Promise<Connected> {
  const listener = await Listener.listen(t, kind);
  const shared = createReadBuffer();
  const reader = new SocketReader(shared, exactLength);
  const options = { ...socketOptionsOf(listener.address), allowHalfOpen: true, onread: reader.onread };
  const socket = connect(options).pause();
  afterwards(t, () => socket.destroy());
  socket.on("error", () => undefined);
  await once(socket, "connect");
  reader.attach(socket);
  return { reader, socket, peer: await listener.next(), shared };
}

for (const kind of ["tcp", "unix"] as const) {
  for (const piece of [1, 7, 31, 32, 33, 319, 320, 321, 1_000]) {
    test(
      `${kind}: exact reads of writes of ${piece} bytes consume the handshake and not a byte more`,
      limits,
      async (t) => {
        const { reader, socket, peer } = await connected(t, kind, 320);
        const all = randomData("exact", 1_000);
        const written = peer.writeInPieces(all, piece);
        sameBytes(await reader.readExactly(32), all.subarray(0, 32));
        sameBytes(await reader.readExactly(288), all.subarray(32, 320));
        await eventLoopTurns();
        assert.equal(socket.bytesRead, 320);
        const sink = new KeepingSink();
        reader.flowInto(sink);
        await written;
        peer.finish();
        await sink.untilEnd();
        sameBytes(sink.bytes, all.subarray(320));
        assert.equal(sink.ends, 1);
      },
    );
  }

  test(`${kind}: the handshake is never read into the shared memory`, limits, async (t) => {
    const { reader, peer, shared } = await connected(t, kind, 320);
    await peer.write(new Uint8Array(320).fill(1));
    await reader.readExactly(32);
    await reader.readExactly(288);
    assert.ok(shared.every((byte) => byte === 0));
  });

  test(`${kind}: data after the handshake is read into the shared memory, never more than fits`, limits, async (t) => {
    const { reader, peer, shared } = await connected(t, kind, 0);
    const sink = new KeepingSink();
    sink.onReceive = (bytes) => {
      assert.equal(bytes.buffer, shared.buffer);
      assert.equal(bytes.byteOffset, shared.byteOffset);
      assert.ok(bytes.length >= 1 && bytes.length <= READ_BUFFER_BYTES);
    };
    reader.flowInto(sink);
    const all = randomData("flow", 4 * READ_BUFFER_BYTES + 1);
    await peer.write(all);
    peer.finish();
    await sink.untilEnd();
    sameBytes(sink.bytes, all);
  });

  test(`${kind}: without exact reads, nothing is read before there is a sink`, limits, async (t) => {
    const { reader, socket, peer } = await connected(t, kind, 0);
    await peer.write("early");
    peer.finish();
    await eventLoopTurns();
    assert.equal(socket.bytesRead, 0);
    const sink = new KeepingSink();
    reader.flowInto(sink);
    await sink.untilEnd();
    assert.equal(Buffer.from(sink.bytes).toString(), "early");
  });

  test(`${kind}: a sink that stops receives nothing until it resumes, and then everything`, limits, async (t) => {
    const { reader, socket, peer } = await connected(t, kind, 0);
    const sink = new KeepingSink();
    sink.goesOn = false;
    reader.flowInto(sink);
    await peer.write("one");
    await sink.untilBytes(3);
    for (const text of ["two", "three"]) {
      await peer.write(text);
      await eventLoopTurns();
      assert.equal(sink.takes, 1);
      assert.equal(socket.bytesRead, 3);
    }
    peer.finish();
    await eventLoopTurns();
    assert.equal(sink.ends, 0);
    sink.goesOn = true;
    reader.resume();
    await sink.untilEnd();
    assert.equal(Buffer.from(sink.bytes).toString(), "onetwothree");
  });

  test(`${kind}: if the sink stops every time, each resume gives one more read`, limits, async (t) => {
    const { reader, peer } = await connected(t, kind, 0);
    const sink = new KeepingSink();
    sink.goesOn = false;
    const all = randomData("step by step", 3 * READ_BUFFER_BYTES);
    const written = peer.write(all);
    reader.flowInto(sink);
    while (sink.keptBytes < all.length) {
      const [takes, bytes] = [sink.takes, sink.keptBytes];
      await sink.untilBytes(bytes + 1);
      await eventLoopTurns();
      assert.ok(sink.takes <= takes + 1, "one read at most");
      if (sink.keptBytes < all.length) reader.resume();
    }
    await written;
    sameBytes(sink.bytes, all);
  });

  test(`${kind}: an end during the exact reads reports how much arrived`, limits, async (t) => {
    for (const cut of [0, 1, 31]) {
      const { reader, peer } = await connected(t, kind, 320);
      await peer.write(new Uint8Array(cut));
      peer.finish();
      await rejectsEarlyEnd(reader.readExactly(32), "orderly", cut, 320);
    }
    const { reader, peer } = await connected(t, kind, 320);
    await peer.write(new Uint8Array(319));
    peer.finish();
    await reader.readExactly(32);
    await rejectsEarlyEnd(reader.readExactly(288), "orderly", 319, 320);
  });

  test(`${kind}: an end right after the handshake is the end of the flow`, limits, async (t) => {
    const { reader, peer } = await connected(t, kind, 320);
    await peer.write(new Uint8Array(320));
    peer.finish();
    await reader.readExactly(32);
    await reader.readExactly(288);
    await eventLoopTurns();
    const sink = new KeepingSink();
    reader.flowInto(sink);
    await sink.untilEnd();
    assert.equal(sink.keptBytes, 0);
    assert.equal(sink.ends, 1);
  });

  test(`${kind}: destroying the socket fails the exact reads, and not as an orderly end`, limits, async (t) => {
    const { reader, socket } = await connected(t, kind, 320);
    const read = rejectsEarlyEnd(reader.readExactly(32), "closed", 0, 320);
    socket.destroy();
    await read;
  });

  test(`${kind}: data can be written while the reader is stopped`, limits, async (t) => {
    const { socket, peer } = await connected(t, kind, 0);
    socket.end("the other way");
    const { bytes, end } = await peer.readToEnd();
    assert.equal(Buffer.from(bytes).toString(), "the other way");
    assert.equal(end, "fin");
  });
}

test("a reset does not end a flow in an orderly way", limits, async (t) => {
  const { reader, socket, peer } = await connected(t, "tcp", 0);
  const sink = new KeepingSink();
  reader.flowInto(sink);
  await peer.write("before");
  await sink.untilBytes(6);
  const closed = new Promise((resolve) => socket.once("close", resolve));
  peer.reset();
  await closed;
  assert.equal(sink.ends, 0);
});

test("a reset right after data does not end a flow in an orderly way", limits, async (t) => {
  const { reader, socket, peer } = await connected(t, "tcp", 0);
  const sink = new KeepingSink();
  sink.goesOn = false;
  reader.flowInto(sink);
  await peer.write("before");
  await sink.untilBytes(6);
  await peer.write("behind");
  peer.reset();
  await peer.closed();
  await eventLoopTurns();
  const over = new Promise((resolve) => socket.once("close", resolve).once("end", resolve));
  sink.goesOn = true;
  reader.resume();
  await within(over, "the end of the socket, whatever kind it is");
  await eventLoopTurns();
  assert.equal(sink.ends, 0, "a break must not look like the end of the data");
});

test("a reset during the exact reads is not an orderly end", limits, async (t) => {
  const { reader, peer } = await connected(t, "tcp", 320);
  const read = rejectsEarlyEnd(reader.readExactly(32), "closed", 0, 320);
  peer.reset();
  await read;
});

// A version of Node without `manualStart` starts reading on its own. The next tests simulate that.

for (const kind of ["tcp", "unix"] as const) {
  test(`${kind}: data that a socket reads too early is buffered, and delivered first`, limits, async (t) => {
    const { reader, socket, peer } = await connected(t, kind, 0);
    await readEarly(socket, peer, "one");
    await readEarly(socket, peer, "two");
    const sink = new KeepingSink();
    reader.flowInto(sink);
    await peer.write("three");
    peer.finish();
    await sink.untilEnd();
    assert.equal(Buffer.from(sink.bytes).toString(), "onetwothree");
    assert.equal(sink.ends, 1);
  });

  test(`${kind}: an end that is read too early is delivered once, after all data`, limits, async (t) => {
    const { reader, socket, peer } = await connected(t, kind, 0);
    await readEarly(socket, peer, "early");
    peer.finish();
    const ended = once(socket, "end");
    socket.resume();
    await ended;
    await eventLoopTurns();
    const sink = new KeepingSink();
    sink.goesOn = false;
    reader.flowInto(sink);
    await eventLoopTurns();
    assert.equal(sink.keptBytes, 5);
    assert.equal(sink.ends, 0);
    reader.resume();
    await sink.untilEnd();
    reader.resume();
    await eventLoopTurns();
    assert.equal(sink.ends, 1);
  });
}

/** Makes a socket read a text too early, and stop. */
async function readEarly(socket: Socket, peer: TestSocket, text: string): Promise<void> {
  const before = socket.bytesRead;
  await peer.write(text);
  socket.resume();
  await until(() => (socket.bytesRead === before + text.length ? true : undefined), "a socket to read on its own");
}
