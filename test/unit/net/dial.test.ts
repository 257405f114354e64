// Dialing: several addresses, silent addresses, timeouts, cancellation, local addresses. The clock is mocked.

import assert from "node:assert/strict";
import { once } from "node:events";
import { closeSync, readdirSync, writeFileSync } from "node:fs";
import { connect, createServer } from "node:net";
import { join } from "node:path";
import { type TestContext, type TestOptions, test } from "node:test";
import { codeOf } from "#dist/errors.js";
import { addon } from "#dist/native/native.js";
import { type AddonSockets, addonSockets } from "#dist/net/addon-sockets.js";
import type { SocketAddress, TcpAddress } from "#dist/net/address.js";
import type { Channel } from "#dist/net/channel.js";
import { DescriptorBudget } from "#dist/net/descriptors.js";
import { dial } from "#dist/net/dial.js";
import type { DialOptions } from "#dist/net/dial-options.js";
import { createReadBuffer } from "#dist/net/socket-reader.js";
import { type Address, freeAddress, freePort } from "../../support/addresses.js";
import { afterwards, limits, temporaryFolder } from "../../support/cleanup.js";
import { kindsHere, withoutIpv6 } from "../../support/environment.js";
import { Listener } from "../../support/listener.js";
import { TestSocket } from "../../support/test-socket.js";
import { acceptedBefore } from "../support/accepted.js";
import { deafAddress } from "../support/deaf.js";
import { rejectsSpipedError } from "../support/errors.js";
import { eventLoopTurns, KeepingSink } from "../support/sink.js";

const name = "far.example:2562";
const attemptDelayMs = 250;
const timeoutMs = 5_000;

/** The addon sockets of a test; undefined to dial with Node sockets only. */
const addonSocketsOf = new WeakMap<TestContext, AddonSockets | undefined>();

/** Runs each test twice: a single address can be dialed with a Node socket or an addon socket. */
function bothWays(what: string, options: TestOptions, run: (t: TestContext) => Promise<void>): void {
  for (const sockets of [undefined, addonSockets()]) {
    test(sockets === undefined ? what : `${what}, with addon sockets`, options, (t) => {
      addonSocketsOf.set(t, sockets);
      return run(t);
    });
  }
}

for (const kind of kindsHere("tcp", "tcp6", "unix")) {
  bothWays(
    `${kind}: an address that answers gives a channel both ways, named as the user wrote it`,
    limits,
    async (t) => {
      const listener = await Listener.listen(t, kind);
      const channel = await dialing(t, [socketAddressOf(listener.address)]);
      const peer = await listener.next();
      assert.equal(channel.peer, name);
      channel.writable.write("there");
      assert.equal(Buffer.from(await peer.read(5)).toString(), "there");
      const sink = new KeepingSink();
      channel.reader.flowInto(sink);
      await peer.write("and back");
      await sink.untilBytes(8);
      channel.writable.end();
      assert.equal(await peer.end(), "fin");
      await peer.write("more");
      peer.finish();
      await sink.untilEnd();
      assert.equal(Buffer.from(sink.bytes).toString(), "and backmore");
    },
  );

  bothWays(`${kind}: data that the peer sends immediately is neither lost nor read too far`, limits, async (t) => {
    const listener = await Listener.listen(t, kind);
    listener.onConnection((peer) => {
      peer.write(Buffer.from(`${"x".repeat(40)}the rest`)).catch(() => undefined);
      peer.finish();
    });
    const channel = await dialing(t, [socketAddressOf(listener.address)], { exactLength: 40 });
    assert.equal((await channel.reader.readExactly(40)).length, 40);
    const sink = new KeepingSink();
    channel.reader.flowInto(sink);
    await sink.untilEnd();
    assert.equal(Buffer.from(sink.bytes).toString(), "the rest");
  });

  bothWays(`${kind}: an address that refuses is one error with the reason`, limits, async (t) => {
    const address = socketAddressOf(await freeAddress(t, kind));
    const reason = kind === "unix" ? "no such socket" : "connection refused";
    const dialed = dialing(t, [address]);
    await rejectsSpipedError(dialed, "SPIPED_CONNECT", new RegExp(`^cannot connect to ${name}: .*${reason}$`));
  });
}

bothWays("a file that is not a socket refuses", limits, async (t) => {
  const path = join(await temporaryFolder(t), "file");
  writeFileSync(path, "");
  await rejectsSpipedError(dialing(t, [{ kind: "unix", path }]), "SPIPED_CONNECT", /connection refused/);
});

bothWays("after a refusal, the next address is tried immediately", limits, async (t) => {
  const listener = await Listener.listen(t, "tcp");
  const addresses = [await refusing(t), await refusing(t), socketAddressOf(listener.address)];
  // The clock does not advance, so only a refusal can lead to the next address.
  mockTimers(t);
  await dialing(t, addresses);
  assert.equal(await acceptedBefore(t, listener), 1);
});

bothWays("a listener that closes before it has accepted resets the connection", limits, async (t) => {
  const port = await freePort("127.0.0.1");
  const descriptor = addon.listenTcp("127.0.0.1", port, 1);
  const state = dialing(t, [{ kind: "tcp", family: 4, address: "127.0.0.1", port }]);
  // Right after the tick that connects, before the event loop notices.
  process.nextTick(() => closeSync(descriptor));
  const words = new RegExp(`^cannot connect to ${name}: \\[127\\.0\\.0\\.1\\]:${port}: connection reset by peer$`);
  await rejectsSpipedError(state, "SPIPED_CONNECT", words);
});

for (const resetOnDeath of [true, false]) {
  const what = resetOnDeath ? "sees a reset" : "sees an end";
  const skip = process.platform === "win32" ? "needs descriptors" : false;
  bothWays(`a target that is abandoned before the connection is noticed ${what}`, { ...limits, skip }, async (t) => {
    const listener = await Listener.listen(t, "tcp");
    const abort = new AbortController();
    const dialed = dialing(t, [socketAddressOf(listener.address)], { resetOnDeath, signal: abort.signal });
    // The system has connected in the previous tick, and the event loop has not noticed yet.
    process.nextTick(() => abort.abort());
    await rejectsSpipedError(dialed, "SPIPED_CANCELLED", /cancelled/);
    const peer = await listener.next();
    assert.equal(await peer.end(), resetOnDeath ? "reset" : "fin");
  });
}

bothWays("the error names all addresses that refused, in order", limits, async (t) => {
  const addresses = [await refusing(t), await refusing(t), await refusing(t)];
  mockTimers(t);
  const [first, second, third] = addresses.map(({ port }) => `\\[127\\.0\\.0\\.1\\]:${port}: connection refused`);
  const all = new RegExp(`^cannot connect to ${name}: ${first}; ${second}; ${third}$`);
  await rejectsSpipedError(dialing(t, addresses), "SPIPED_CONNECT", all);
});

bothWays("once an address answers, the following ones are not tried", limits, async (t) => {
  const [first, second] = [await Listener.listen(t, "tcp"), await Listener.listen(t, "tcp")];
  mockTimers(t);
  await dialing(t, [socketAddressOf(first.address), socketAddressOf(second.address)]);
  t.mock.timers.tick(10 * attemptDelayMs);
  assert.equal(await acceptedBefore(t, second), 0);
});

bothWays("if an address stays silent, the next is tried after 250 ms, and not before", limits, async (t) => {
  const listener = await Listener.listen(t, "tcp");
  const silent = await deafAddress(t);
  mockTimers(t);
  const dialed = dialing(t, [silent, socketAddressOf(listener.address)]);
  t.mock.timers.tick(attemptDelayMs - 1);
  assert.equal(await acceptedBefore(t, listener), 0);
  t.mock.timers.tick(1);
  const channel = await dialed;
  const peer = await listener.next();
  channel.writable.write("to the one that answers");
  assert.equal(Buffer.from(await peer.read(6)).toString(), "to the");
});

bothWays("each silent address gets 250 ms, and a refusal ends them early", limits, async (t) => {
  const listener = await Listener.listen(t, "tcp");
  const addresses = [await deafAddress(t), await deafAddress(t), await refusing(t), socketAddressOf(listener.address)];
  mockTimers(t);
  const dialed = dialing(t, addresses);
  t.mock.timers.tick(attemptDelayMs);
  assert.equal(await acceptedBefore(t, listener), 0);
  t.mock.timers.tick(attemptDelayMs);
  await dialed;
});

bothWays("a silent address is not abandoned when the next one refuses", limits, async (t) => {
  const silent = await deafAddress(t);
  const addresses = [silent, await refusing(t)];
  mockTimers(t);
  const state = watch(dialing(t, addresses));
  t.mock.timers.tick(attemptDelayMs);
  await eventLoopTurns();
  assert.equal(state.settled, false);
  t.mock.timers.tick(timeoutMs - attemptDelayMs - 1);
  await eventLoopTurns();
  assert.equal(state.settled, false);
  t.mock.timers.tick(1);
  await rejectsSpipedError(state.promise, "SPIPED_TIMEOUT", /before that: \[127\.0\.0\.1\]:\d+: connection refused/);
});

bothWays("dialing a silent target fails at the timeout, and not before", limits, async (t) => {
  const silent = await deafAddress(t);
  mockTimers(t);
  const state = watch(dialing(t, [silent], { timeoutMs: 1_500 }));
  t.mock.timers.tick(1_499);
  await eventLoopTurns();
  assert.equal(state.settled, false);
  t.mock.timers.tick(1);
  await rejectsSpipedError(state.promise, "SPIPED_TIMEOUT", new RegExp(`^no answer from ${name} within 1\\.5 s$`));
});

bothWays("no address is tried after the timeout", limits, async (t) => {
  const listener = await Listener.listen(t, "tcp");
  const silent = await deafAddress(t);
  mockTimers(t);
  const dialed = dialing(t, [silent, socketAddressOf(listener.address)], { timeoutMs: attemptDelayMs - 1 });
  t.mock.timers.tick(attemptDelayMs - 1);
  await rejectsSpipedError(dialed, "SPIPED_TIMEOUT", /within 0\.249 s/);
  t.mock.timers.tick(attemptDelayMs);
  assert.equal(await acceptedBefore(t, listener), 0);
});

test("all other attempts are closed when one wins", limits, async (t) => {
  const listener = await Listener.listen(t, "tcp");
  const silent = await deafAddress(t);
  mockTimers(t);
  const before = connecting(t);
  const dialed = dialing(t, [silent, socketAddressOf(listener.address)]);
  await eventLoopTurns();
  assert.equal(connecting(t), before + 1);
  t.mock.timers.tick(attemptDelayMs);
  await dialed;
  await eventLoopTurns();
  assert.equal(connecting(t), before);
});

bothWays("the timeout does not apply to a connected channel", limits, async (t) => {
  const listener = await Listener.listen(t, "tcp");
  mockTimers(t);
  const channel = await dialing(t, [socketAddressOf(listener.address)]);
  t.mock.timers.tick(2 * timeoutMs);
  channel.writable.write("still there");
  assert.equal(Buffer.from(await (await listener.next()).read(11)).toString(), "still there");
});

bothWays("a cancelled attempt ends immediately and leaves nothing open", limits, async (t) => {
  const silent = await deafAddress(t);
  const before = connecting(t);
  const cancel = new AbortController();
  const dialed = dialing(t, [silent], { signal: cancel.signal });
  await eventLoopTurns();
  assert.equal(connecting(t), before + 1);
  cancel.abort();
  await rejectsSpipedError(dialed, "SPIPED_CANCELLED", /cancelled while connecting/);
  await eventLoopTurns();
  assert.equal(connecting(t), before);
});

bothWays("an attempt that is cancelled before it starts does not connect", limits, async (t) => {
  const listener = await Listener.listen(t, "tcp");
  const dialed = dialing(t, [socketAddressOf(listener.address)], { signal: AbortSignal.abort() });
  await rejectsSpipedError(dialed, "SPIPED_CANCELLED", /cancelled/);
  assert.equal(await acceptedBefore(t, listener), 0);
});

bothWays("cancelling after the connection is established does not affect the channel", limits, async (t) => {
  const listener = await Listener.listen(t, "tcp");
  const cancel = new AbortController();
  const channel = await dialing(t, [socketAddressOf(listener.address)], { signal: cancel.signal });
  cancel.abort();
  channel.writable.write("still there");
  assert.equal(Buffer.from(await (await listener.next()).read(11)).toString(), "still there");
});

for (const kind of kindsHere("tcp", "tcp6")) {
  bothWays(`${kind}: a connection uses the local address and port that it is bound to`, limits, async (t) => {
    const listener = await Listener.listen(t, kind);
    const target = tcpAddressOf(listener.address);
    const local = { ...target, port: await freePort(target.address) };
    await dialing(t, [target], { bind: [local] });
    const { socket } = await listener.next();
    assert.equal(socket.remoteAddress, local.address);
    assert.equal(socket.remotePort, local.port);
  });
}

bothWays("of several local addresses, the first of the target's family is used", limits, async (t) => {
  const listener = await Listener.listen(t, "tcp");
  const port = await freePort("127.0.0.1");
  const bind: readonly TcpAddress[] = [
    { kind: "tcp", family: 6, address: "::1", port: 0 },
    { kind: "tcp", family: 4, address: "127.0.0.1", port },
    { kind: "tcp", family: 4, address: "127.0.0.1", port: 0 },
  ];
  await dialing(t, [socketAddressOf(listener.address)], { bind });
  assert.equal((await listener.next()).socket.remotePort, port);
});

bothWays(
  "an address of a family without a local address is skipped, and the next one is tried",
  {
    ...limits,
    skip: withoutIpv6,
  },
  async (t) => {
    const v6 = await Listener.listen(t, "tcp6");
    const v4 = await Listener.listen(t, "tcp");
    const bind: readonly TcpAddress[] = [{ kind: "tcp", family: 4, address: "127.0.0.1", port: 0 }];
    mockTimers(t);
    await dialing(t, [socketAddressOf(v6.address), socketAddressOf(v4.address)], { bind });
    await v4.next();
    const only = dialing(t, [socketAddressOf(v6.address)], { bind });
    await rejectsSpipedError(only, "SPIPED_CONNECT", /there is no local IPv6 address to connect from/);
    assert.equal(await acceptedBefore(t, v6), 0);
  },
);

bothWays("a local address that this machine does not have is reported as the reason", limits, async (t) => {
  const listener = await Listener.listen(t, "tcp");
  // From a block reserved for documentation, so no machine has it.
  const bind: readonly TcpAddress[] = [{ kind: "tcp", family: 4, address: "203.0.113.77", port: 0 }];
  const dialed = dialing(t, [socketAddressOf(listener.address)], { bind });
  await rejectsSpipedError(dialed, "SPIPED_CONNECT", /local address not available/);
});

bothWays("a local port in use is reported as the reason", limits, async (t) => {
  const listener = await Listener.listen(t, "tcp");
  const target = tcpAddressOf(listener.address);
  const dialed = dialing(t, [target], { bind: [target] });
  await rejectsSpipedError(dialed, "SPIPED_CONNECT", /local address in use/);
});

bothWays("a local address is ignored for a UNIX socket", limits, async (t) => {
  const listener = await Listener.listen(t, "unix");
  const bind: readonly TcpAddress[] = [{ kind: "tcp", family: 4, address: "203.0.113.77", port: 0 }];
  await dialing(t, [socketAddressOf(listener.address)], { bind });
  await listener.next();
});

bothWays(
  "a UNIX socket with a full backlog is retried until the timeout, without using up another client's place",
  limits,
  async (t) => {
    const path = join(await temporaryFolder(t), "s");
    const descriptor = new addon.SocketFile(Buffer.from(path)).listen(1);
    afterwards(t, () => closeSync(descriptor));
    for (let free = true; free; ) free = await connects(t, path);
    mockTimers(t);
    const behind = await Listener.listen(t, "unix");
    const dialed = dialing(t, [{ kind: "unix", path }, socketAddressOf(behind.address)]);
    for (let tries = 0; tries < 20; tries += 1) {
      await eventLoopTurns();
      t.mock.timers.tick(10);
    }
    assert.equal(await acceptedBefore(t, behind), 0);
    t.mock.timers.tick(timeoutMs);
    await rejectsSpipedError(dialed, "SPIPED_TIMEOUT", /^no answer from /);
  },
);

bothWays("a UNIX socket with a full backlog is connected once there is room", limits, async (t) => {
  const path = join(await temporaryFolder(t), "s");
  const descriptor = new addon.SocketFile(Buffer.from(path)).listen(1);
  for (let free = true; free; ) free = await connects(t, path);
  mockTimers(t);
  const dialed = watch(dialing(t, [{ kind: "unix", path }]));
  await eventLoopTurns();
  t.mock.timers.tick(10);
  await eventLoopTurns();
  assert.equal(dialed.settled, false);
  const server = createServer((socket) => afterwards(t, () => socket.destroy())).listen({ fd: descriptor });
  afterwards(t, () => server.close());
  for (; !dialed.settled; t.mock.timers.tick(10)) await eventLoopTurns();
  await dialed.promise;
});

/** Opens another connection; returns false if the backlog is full. */
async function connects(t: TestContext, path: string): Promise<boolean> {
  const socket = connect(path);
  afterwards(t, () => socket.destroy());
  const [error] = await Promise.race([once(socket, "connect"), once(socket, "error")]).catch((cause) => [cause]);
  assert.ok(error === undefined || codeOf(error) === "EAGAIN", String(error));
  return error === undefined;
}

async function dialing(
  t: TestContext,
  addresses: readonly SocketAddress[],
  options: Partial<DialOptions> = {},
): Promise<Channel> {
  const channel = await dial({
    addresses,
    name,
    bind: undefined,
    timeoutMs,
    keepAlive: true,
    readBuffer: createReadBuffer(),
    exactLength: 0,
    descriptors: new DescriptorBudget(Number.POSITIVE_INFINITY),
    signal: new AbortController().signal,
    addonSockets: addonSocketsOf.get(t),
    ...options,
  });
  afterwards(t, () => channel.close());
  return channel;
}

function mockTimers(t: TestContext): void {
  t.mock.timers.enable({ apis: ["setTimeout"] });
}

/** An address that refuses: its port is the local port of an outgoing connection, so nothing can listen on it. */
async function refusing(t: TestContext): Promise<TcpAddress> {
  const { socket } = await TestSocket.connect(t, (await Listener.listen(t, "tcp")).address);
  assert.ok(socket.localPort !== undefined);
  return { kind: "tcp", family: 4, address: "127.0.0.1", port: socket.localPort };
}

/** The number of connecting Node sockets; with addon sockets, the number of open descriptors. */
function connecting(t: TestContext): number {
  if (addonSocketsOf.get(t) !== undefined) return readdirSync("/dev/fd").length;
  return process.getActiveResourcesInfo().filter((resource) => /ConnectWrap$/.test(resource)).length;
}

function watch<Result>(promise: Promise<Result>): { readonly promise: Promise<Result>; settled: boolean } {
  const state = { promise, settled: false };
  const settle = () => {
    state.settled = true;
  };
  promise.then(settle, settle);
  return state;
}

function socketAddressOf(address: Address): SocketAddress {
  return address.kind === "unix" ? address : tcpAddressOf(address);
}

function tcpAddressOf(address: Address): TcpAddress {
  assert.ok(address.kind === "tcp");
  return { kind: "tcp", family: address.host === "::1" ? 6 : 4, address: address.host, port: address.port };
}
