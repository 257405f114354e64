// Channels over addon sockets: exact reads, failures reported once, close and reset, and the move to a Node socket when
// data has to flow.

import assert from "node:assert/strict";
import { type TestContext, test } from "node:test";
import type { SpipedError } from "#dist/errors.js";
import { addon } from "#dist/native/native.js";
import { AddonChannel } from "#dist/net/addon-channel.js";
import { AddonListener } from "#dist/net/addon-listener.js";
import { type AddonClient, type AddonSockets, addonSockets } from "#dist/net/addon-sockets.js";
import { SocketChannel } from "#dist/net/channel.js";
import { createReadBuffer } from "#dist/net/socket-reader.js";
import { freePort } from "../../support/addresses.js";
import { afterwards, contractLimits as limits, until } from "../../support/cleanup.js";
import { TestSocket } from "../../support/test-socket.js";
import { rejectsEarlyEnd } from "../support/errors.js";
import { eventLoopTurns, KeepingSink } from "../support/sink.js";

const sockets = addonSockets();
const skip = sockets === undefined ? "needs an event loop that watches descriptors" : false;

/** A listener that collects its clients for the test. */
async function listening(
  t: TestContext,
): Promise<{ readonly listener: AddonListener; readonly clients: AddonClient[]; readonly port: number }> {
  const port = await freePort("127.0.0.1");
  const clients: AddonClient[] = [];
  const listener = new AddonListener(
    addon.listenTcp("127.0.0.1", port, 16),
    { sockets: sockets as AddonSockets, options: { keepAlive: true, resetOnDeath: false }, shared: false },
    { clientsPerTurn: () => 4, accepted: (client) => clients.push(client), failed: (error) => assert.fail(error) },
  );
  afterwards(t, () => listener.close());
  return { listener, clients, port };
}

async function accepted(
  t: TestContext,
  exactLength: number,
): Promise<{ readonly channel: AddonChannel; readonly peer: TestSocket; readonly failures: SpipedError[] }> {
  const { listener, clients, port } = await listening(t);
  listener.accept();
  const peer = await TestSocket.connect(t, { kind: "tcp", host: "127.0.0.1", port });
  const client = await until(() => clients[0], "a client");
  const readBuffer = createReadBuffer();
  const channel = new AddonChannel({
    sockets: sockets as AddonSockets,
    ...client,
    exactLength,
    readBuffer,
    resetOnDeath: false,
  });
  afterwards(t, () => channel.close());
  const failures: SpipedError[] = [];
  channel.onFailure((error) => failures.push(error));
  return { channel, peer, failures };
}

test("reads exactly the requested bytes, however they arrive, and no byte more", { ...limits, skip }, async (t) => {
  const { channel, peer } = await accepted(t, 8);
  const first = channel.readExactly(5);
  for (const piece of ["a", "bc", "de", "fghrest"]) await peer.write(piece);
  assert.equal(Buffer.from(await first).toString(), "abcde");
  assert.equal(Buffer.from(await channel.readExactly(3)).toString(), "fgh");
  const sink = new KeepingSink();
  channel.reader.flowInto(sink);
  await sink.untilBytes(4);
  assert.equal(Buffer.from(sink.bytes).toString(), "rest");
});

test("what waits to be read can be looked at without being read", { ...limits, skip }, async (t) => {
  const { channel, peer } = await accepted(t, 8);
  assert.equal(channel.peek(4).length, 0);
  await peer.write("abcdefgh");
  const seen = await until(() => (channel.peek(4).length === 4 ? channel.peek(4) : undefined), "bytes to look at");
  assert.equal(Buffer.from(seen).toString(), "abcd");
  assert.equal(Buffer.from(await channel.readExactly(8)).toString(), "abcdefgh");
  channel.close();
  assert.equal(channel.peek(4).length, 0);
});

test("after the move to a Node socket, that is asked; after the close, nobody", { ...limits, skip }, async (t) => {
  const { channel } = await accepted(t, 0);
  assert.ok(channel.writable.writable);
  for (const name of ["hasEnded", "ends", "failureOfEnd", "copyDescriptor", "resetOnDeath"] as const) {
    const asked = t.mock.method(SocketChannel.prototype, name, () => undefined);
    channel[name](true);
    assert.equal(asked.mock.callCount(), 1, name);
    asked.mock.restore();
  }
  const other = (await accepted(t, 0)).channel;
  const copy = other.copyDescriptor();
  assert.ok(copy !== undefined);
  copy.close();
  other.close();
  other.resetOnDeath(true);
  assert.deepEqual(
    [other.hasEnded(), other.ends(), other.failureOfEnd(), other.copyDescriptor(), other.sendNow(Uint8Array.of(1))],
    [false, undefined, undefined, undefined, false],
  );
});

test("systems with descriptors have addon sockets", { skip: process.platform === "win32" }, () => {
  assert.ok(sockets !== undefined);
});

test("sent data arrives, and the peer has a name", { ...limits, skip }, async (t) => {
  const { channel, peer } = await accepted(t, 8);
  assert.equal(channel.sendNow(Buffer.from("hello")), true);
  assert.equal(Buffer.from(await peer.read(5)).toString(), "hello");
  assert.equal(channel.peer, `[127.0.0.1]:${peer.socket.localPort}`);
  assert.deepEqual(channel.remote, { address: "127.0.0.1", port: peer.socket.localPort, family: "IPv4" });
});

test("its addresses are those of the socket, before and after the move to a Node socket", {
  ...limits,
  skip,
}, async (t) => {
  const { channel, peer } = await accepted(t, 0);
  const { localPort: port, remotePort } = peer.socket;
  const remote = { address: "127.0.0.1", port, family: "IPv4" };
  const local = { address: "127.0.0.1", port: remotePort };
  for (const _ of ["the addon has it", "Node has it"]) {
    const ends = channel.ends();
    assert.ok(ends?.kind === "tcp");
    assert.deepEqual(ends.remote, remote);
    assert.deepEqual({ address: ends.local.address, port: ends.local.port }, local);
    assert.equal(channel.sendNow(Buffer.from("x")), true);
    channel.writable.write("y");
    assert.equal(Buffer.from(await peer.read(2)).toString(), "xy");
  }
  channel.close();
  assert.equal(channel.ends(), undefined);
});

test("a failed send is known immediately, and reported", { ...limits, skip }, async (t) => {
  const { channel, peer, failures } = await accepted(t, 0);
  peer.reset();
  const refused = () => {
    if (channel.sendNow(Buffer.from("to nobody"))) return undefined;
    assert.deepEqual(failures, [], "the failure is reported after sendNow has returned");
    return true;
  };
  await until(refused, "a refusal");
  await eventLoopTurns();
  assert.deepEqual(
    failures.map(({ code }) => code),
    ["SPIPED_RESET"],
  );
  channel.close();
});

test("an early end of the stream reports how many bytes arrived", { ...limits, skip }, async (t) => {
  const { channel, peer } = await accepted(t, 8);
  const first = channel.readExactly(5);
  await peer.write("abcde");
  await first;
  const second = channel.readExactly(3);
  await peer.write("f");
  peer.finish();
  await rejectsEarlyEnd(second, "orderly", 6, 8);
});

test("a reset during an exact read is reported once", { ...limits, skip }, async (t) => {
  const { channel, peer, failures } = await accepted(t, 8);
  const read = rejectsEarlyEnd(channel.readExactly(5), "closed", 0, 8);
  await eventLoopTurns();
  peer.reset();
  await read;
  const failure = await until(() => failures[0], "a failure");
  assert.equal(failure.code, "SPIPED_RESET");
  assert.equal(failure.message, "connection reset by peer");
  await eventLoopTurns();
  assert.equal(failures.length, 1);
});

test("a closed channel reports no failure", { ...limits, skip }, async (t) => {
  const { channel, peer, failures } = await accepted(t, 8);
  const read = rejectsEarlyEnd(channel.readExactly(5), "closed", 0, 8);
  peer.reset();
  channel.close();
  await read;
  channel.sendNow(Buffer.from("to nobody"));
  await eventLoopTurns();
  assert.deepEqual(failures, []);
});

for (const [how, expected] of [
  ["close", "fin"],
  ["reset", "reset"],
] as const) {
  test(`the peer of a ${how} sees a ${expected}`, { ...limits, skip }, async (t) => {
    const { channel, peer } = await accepted(t, 8);
    channel[how]();
    channel.close();
    assert.equal(await peer.end(), expected);
  });

  test(`the peer of a ${how} sees a ${expected} after the move to a Node socket too`, {
    ...limits,
    skip,
  }, async (t) => {
    const { channel, peer } = await accepted(t, 0);
    channel.writable.write("data");
    assert.equal(Buffer.from(await peer.read(4)).toString(), "data");
    channel[how]();
    assert.equal(await peer.end(), expected);
  });
}

test("clients wait while accepting is paused, and are then accepted", { ...limits, skip }, async (t) => {
  const { listener, clients, port } = await listening(t);
  listener.accept();
  const connected = () => TestSocket.connect(t, { kind: "tcp", host: "127.0.0.1", port });
  await connected();
  await until(() => clients.length === 1 || undefined, "a client");
  assert.equal(listener.pause(), true);
  assert.equal(listener.pause(), false);
  await connected();
  await connected();
  await eventLoopTurns();
  assert.equal(clients.length, 1);
  listener.accept();
  await until(() => clients.length === 3 || undefined, "those that waited");
  for (const { id } of clients) (sockets as AddonSockets).close(id, false);
});

test("clients beyond the limit of one event loop turn are accepted too", { ...limits, skip }, async (t) => {
  const { listener, clients, port } = await listening(t);
  const many = Array.from({ length: 16 }, () => TestSocket.connect(t, { kind: "tcp", host: "127.0.0.1", port }));
  await Promise.all(many);
  listener.accept();
  await TestSocket.connect(t, { kind: "tcp", host: "127.0.0.1", port });
  await until(() => clients.length === 17 || undefined, "all of them");
  for (const { id } of clients) (sockets as AddonSockets).close(id, false);
});

test("an exception in one listener does not keep events from the others", { ...limits, skip }, async (t) => {
  const addon = sockets as AddonSockets;
  const { listener, clients, port } = await listening(t);
  listener.accept();
  const peers = [
    await TestSocket.connect(t, { kind: "tcp", host: "127.0.0.1", port }),
    await TestSocket.connect(t, { kind: "tcp", host: "127.0.0.1", port }),
  ];
  await until(() => clients.length === 2 || undefined, "both clients");
  const arrived: number[] = [];
  for (const { id } of clients) {
    addon.setEvents(id, {
      arrived: () => {
        arrived.push(id);
        throw new Error("a mistake");
      },
    });
    addon.expect(id, 1);
  }
  const thrown: unknown[] = [];
  const listeners = process.listeners("uncaughtException");
  process.removeAllListeners("uncaughtException");
  const keep = (error: unknown) => thrown.push(error);
  process.on("uncaughtException", keep);
  afterwards(t, () => {
    process.off("uncaughtException", keep);
    for (const one of listeners) process.on("uncaughtException", one);
  });
  await Promise.all(peers.map((peer) => peer.write("x")));
  await until(() => (arrived.length === 2 && thrown.length === 2) || undefined, "both events");
  for (const { id } of clients) addon.close(id, false);
});
