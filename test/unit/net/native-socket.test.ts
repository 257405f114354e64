// Socket options and queries that Node lacks.

import assert from "node:assert/strict";
import { once } from "node:events";
import { connect, Socket } from "node:net";
import { type TestContext, test } from "node:test";
import { addon } from "#dist/native/native.js";
import { describePeer, descriptorOf, keepAlive, resetOnClose } from "#dist/net/native-socket.js";
import { socketOptionsOf } from "../../support/addresses.js";
import { afterwards, contractLimits as limits } from "../../support/cleanup.js";
import { Listener } from "../../support/listener.js";
import { TestSocket } from "../../support/test-socket.js";
import { Clients } from "../support/clients.js";

async function connected(t: TestContext): Promise<{ socket: Socket; peer: TestSocket }> {
  const listener = await Listener.listen(t, "tcp");
  const socket = connect({ ...socketOptionsOf(listener.address), allowHalfOpen: true });
  afterwards(t, () => socket.destroy());
  socket.on("error", () => undefined);
  await once(socket, "connect");
  return { socket, peer: await listener.next() };
}

test("keep-alive works without the options that this system lacks", limits, async (t) => {
  const { socket } = await connected(t);
  const { DeadPeerDetector } = addon;
  afterwards(t, () => Object.assign(addon, { DeadPeerDetector }));
  Reflect.deleteProperty(addon, "DeadPeerDetector");
  keepAlive(socket);
  assert.equal(socket.destroyed, false);
});

test("a dead peer is noticed within two minutes: after 60 s, 10 s apart, 6 probes", limits, async (t) => {
  const { socket } = await connected(t);
  const calls = t.mock.method(addon, "setKeepAlive");
  keepAlive(socket);
  const [idle = 0, interval = 0, probes = 0] = (calls.mock.calls[0]?.arguments ?? []).slice(1);
  assert.deepEqual([idle, interval, probes], [60, 10, 6]);
  assert.ok(idle + interval * probes <= 120);
});

test("a connection whose peer does not acknowledge data for two minutes is closed", limits, async (t) => {
  t.mock.timers.enable({ apis: ["setInterval"] });
  const { socket } = await connected(t);
  keepAlive(socket);
  let isDead = false;
  t.mock.method(addon.DeadPeerDetector.prototype, "isDead", () => isDead);
  t.mock.timers.tick(10_000);
  assert.equal(socket.destroyed, false);
  isDead = true;
  const failed = once(socket, "error");
  t.mock.timers.tick(10_000);
  assert.equal(((await failed)[0] as NodeJS.ErrnoException).code, "ETIMEDOUT");
});

test("a socket resets the connection on close only while that is switched on", limits, async (t) => {
  for (const [resets, end] of [
    [[true], "reset"],
    [[true, false], "fin"],
    [[], "fin"],
  ] as const) {
    const { socket, peer } = await connected(t);
    for (const one of resets) assert.equal(resetOnClose(socket, one), true);
    socket.destroy();
    assert.equal(await peer.end(), end);
  }
});

test("failed system calls are ignored", limits, async (t) => {
  const { socket } = await connected(t);
  const refuse = () => {
    throw Object.assign(new Error("invalid"), { code: "EINVAL" });
  };
  t.mock.method(addon, "setKeepAlive", refuse);
  t.mock.method(addon, "setResetOnClose", refuse);
  keepAlive(socket);
  assert.equal(resetOnClose(socket, true), false);
  assert.equal(socket.destroyed, false);
});

test("a socket without a descriptor is left alone, and its peer is unknown", () => {
  const socket = new Socket();
  keepAlive(socket);
  assert.deepEqual(
    [descriptorOf(socket), resetOnClose(socket, true), describePeer(socket)],
    [undefined, false, "unknown"],
  );
});

test("a TCP client is named by its address, and a client on a UNIX socket by its user", limits, async (t) => {
  for (const kind of ["tcp", "tcp6", "unix"] as const) {
    const clients = await Clients.listen(t, kind);
    await clients.listening.accept();
    const { socket } = await TestSocket.connect(t, clients.address);
    const { peer } = await clients.next();
    const host = kind === "tcp" ? "127.0.0.1" : "::1";
    if (kind !== "unix") assert.equal(peer, `[${host}]:${socket.localPort}`);
    else if (process.platform === "linux") assert.equal(peer, `uid ${process.getuid?.()} (pid ${process.pid})`);
    else assert.equal(peer, `uid ${process.getuid?.()}`);
  }
});
