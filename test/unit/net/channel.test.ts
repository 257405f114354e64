// Channels over Node sockets: failures are reported once, and the peer sees the right kind of end.

import assert from "node:assert/strict";
import { once } from "node:events";
import { connect, type Socket } from "node:net";
import { type TestContext, test } from "node:test";
import type { SpipedError } from "#dist/errors.js";
import { endsOf, SocketChannel } from "#dist/net/channel.js";
import { createReadBuffer, SocketReader } from "#dist/net/socket-reader.js";
import { socketOptionsOf } from "../../support/addresses.js";
import { afterwards, contractLimits as limits, within } from "../../support/cleanup.js";
import { Listener } from "../../support/listener.js";
import type { TestSocket } from "../../support/test-socket.js";
import { eventLoopTurns, KeepingSink } from "../support/sink.js";

async function channelTo(
  t: TestContext,
  kind: "tcp" | "unix",
): Promise<{ readonly channel: SocketChannel; readonly socket: Socket; readonly peer: TestSocket }> {
  const listener = await Listener.listen(t, kind);
  const reader = new SocketReader(createReadBuffer(), 0);
  const options = { ...socketOptionsOf(listener.address), allowHalfOpen: true, onread: reader.onread };
  const socket = connect(options).pause();
  afterwards(t, () => socket.destroy());
  await once(socket, "connect");
  reader.attach(socket);
  return { channel: new SocketChannel(socket, reader, "the peer's name"), socket, peer: await listener.next() };
}

/** Collects the failures that a channel reports. */
function failuresOf(channel: SocketChannel): SpipedError[] {
  const failures: SpipedError[] = [];
  channel.onFailure((error) => failures.push(error));
  return failures;
}

for (const kind of ["tcp", "unix"] as const) {
  test(`${kind}: the peer of a closed channel sees an orderly end`, limits, async (t) => {
    const { channel, peer } = await channelTo(t, kind);
    const failures = failuresOf(channel);
    channel.close();
    assert.equal(await peer.end(), "fin");
    await eventLoopTurns();
    assert.deepEqual(failures, []);
  });

  test(`${kind}: the peer of a reset channel does not see an orderly end`, limits, async (t) => {
    const { channel, peer } = await channelTo(t, kind);
    const failures = failuresOf(channel);
    channel.writable.write("cut after this");
    channel.reset();
    assert.equal(await peer.endWhileOpen(), "reset");
    assert.deepEqual(failures, []);
  });

  test(`${kind}: a half-closed channel can still be reset`, limits, async (t) => {
    const { channel, socket, peer } = await channelTo(t, kind);
    channel.writable.end("everything");
    assert.equal(await peer.end(), "fin");
    channel.reset();
    await within(new Promise((resolve) => (socket.closed ? resolve(0) : socket.once("close", resolve))), "a close");
    await peer.untilWritesFail();
  });

  test(`${kind}: a channel that is reset during its half-close is closed`, limits, async (t) => {
    const { channel, socket, peer } = await channelTo(t, kind);
    channel.writable.end("everything");
    channel.reset();
    await within(new Promise((resolve) => (socket.closed ? resolve(0) : socket.once("close", resolve))), "a close");
    await peer.untilWritesFail();
  });

  test(`${kind}: a write to a peer that is gone is reported once, in plain words`, limits, async (t) => {
    const { channel, socket, peer } = await channelTo(t, kind);
    const failures = failuresOf(channel);
    const closed = new Promise((resolve) => socket.once("close", resolve));
    peer.close();
    await peer.closed();
    const write = (error?: Error | null): void => {
      if (error === undefined || error === null) socket.write("more", write);
    };
    write();
    await within(closed, "a close");
    assert.equal(failures.length, 1);
    assert.equal(failures[0]?.code, "SPIPED_RESET");
    // The first write either meets the reset or causes it; then the second one fails.
    assert.match(failures[0]?.message ?? "", /^(broken pipe|connection reset by peer)$/);
  });

  test(`${kind}: an orderly end of the peer is not a failure`, limits, async (t) => {
    const { channel, peer } = await channelTo(t, kind);
    const failures = failuresOf(channel);
    const sink = new KeepingSink();
    channel.reader.flowInto(sink);
    peer.finish();
    await sink.untilEnd();
    await eventLoopTurns();
    assert.deepEqual(failures, []);
  });
}

test("the socket is not handed over while data is still to be written, or after its end", limits, async (t) => {
  const { channel, peer } = await channelTo(t, "tcp");
  if (process.platform !== "win32") {
    const copy = channel.copyDescriptor();
    assert.ok(copy !== undefined);
    copy.close();
  }
  peer.socket.pause();
  while (channel.writable.writableLength === 0) channel.writable.write(new Uint8Array(1_024 * 1_024));
  assert.equal(channel.copyDescriptor(), undefined);
  channel.close();
  assert.deepEqual(
    [channel.copyDescriptor(), channel.ends(), channel.hasEnded(), channel.failureOfEnd()],
    [undefined, undefined, false, undefined],
  );
});

test("the ends of a connection are known if both are, or if it is a UNIX socket", () => {
  const [near, far] = [
    { address: "192.0.2.1", port: 1 },
    { address: "192.0.2.2", port: 2 },
  ];
  assert.deepEqual(endsOf(far, near), { kind: "tcp", remote: far, local: near });
  assert.deepEqual(endsOf(undefined, "unix"), { kind: "unix" });
  assert.equal(endsOf(far, undefined), undefined);
  assert.equal(endsOf(undefined, near), undefined);
});

for (const kind of ["tcp", "unix"] as const) {
  test(`${kind}: only a TCP socket has a remote address`, limits, async (t) => {
    const { channel, socket } = await channelTo(t, kind);
    const { remotePort: port } = socket;
    assert.deepEqual(channel.remote, kind === "unix" ? undefined : { address: "127.0.0.1", port, family: "IPv4" });
  });
}

test("a reset by the peer is reported once, in plain words", limits, async (t) => {
  const { channel, socket, peer } = await channelTo(t, "tcp");
  const failures = failuresOf(channel);
  channel.reader.flowInto(new KeepingSink());
  const closed = new Promise((resolve) => socket.once("close", resolve));
  peer.reset();
  await within(closed, "a close");
  assert.deepEqual(
    failures.map(({ code, message }) => [code, message]),
    [["SPIPED_RESET", "connection reset by peer"]],
  );
});

test("a failure that precedes the listener is reported to it, asynchronously", limits, async (t) => {
  const { channel, socket } = await channelTo(t, "tcp");
  const closed = new Promise((resolve) => socket.once("close", resolve));
  socket.destroy(new Error("too early"));
  await within(closed, "a close");
  const failures = failuresOf(channel);
  assert.deepEqual(failures, []);
  await Promise.resolve();
  assert.deepEqual(
    failures.map(({ code, message }) => [code, message]),
    [["SPIPED_RESET", "too early"]],
  );
});

for (const end of ["close", "reset"] as const) {
  test(`a pending failure is not reported after ${end}`, limits, async (t) => {
    const { channel, socket } = await channelTo(t, "tcp");
    const closed = new Promise((resolve) => socket.once("close", resolve));
    socket.destroy(new Error("too early"));
    await within(closed, "a close");
    const failures = failuresOf(channel);
    channel[end]();
    await eventLoopTurns();
    assert.deepEqual(failures, []);
  });

  test(`failures after ${end} are not reported`, limits, async (t) => {
    const { channel, socket, peer } = await channelTo(t, "tcp");
    const failures = failuresOf(channel);
    channel.reader.flowInto(new KeepingSink());
    channel[end]();
    socket.emit("error", new Error("too late"));
    peer.reset();
    await peer.closed();
    await eventLoopTurns();
    assert.deepEqual(failures, []);
  });

  test(`${end} can be called repeatedly, and after a failure`, limits, async (t) => {
    const { channel, socket } = await channelTo(t, "tcp");
    const failures = failuresOf(channel);
    const closed = new Promise((resolve) => socket.once("close", resolve));
    socket.destroy(new Error("broken"));
    await within(closed, "a close");
    for (let times = 0; times < 2; times += 1) {
      channel.close();
      channel.reset();
    }
    await eventLoopTurns();
    assert.equal(failures.length, 1);
  });
}

test("a reset drops the data that is still to be written", limits, async (t) => {
  const { channel, socket, peer } = await channelTo(t, "tcp");
  // The kernel buffers a few megabytes at most, so most of this data is buffered in this process.
  peer.socket.pause();
  while (channel.writable.writableLength < 32 * 1_024 * 1_024) channel.writable.write(new Uint8Array(1_024 * 1_024));
  channel.writable.end();
  channel.reset();
  await within(new Promise((resolve) => (socket.closed ? resolve(0) : socket.once("close", resolve))), "a close");
  peer.socket.resume();
  assert.equal(await peer.endWhileOpen(), "reset");
});
