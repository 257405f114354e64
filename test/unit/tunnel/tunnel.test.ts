// A tunnel: accepts clients up to the connection limit, keeps the others waiting, and ends them all.

import assert from "node:assert/strict";
import { once } from "node:events";
import { existsSync, statSync } from "node:fs";
import { connect, Socket } from "node:net";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import type { TunnelConfig } from "#dist/config/tunnel-config.js";
import type { SpipedError } from "#dist/errors.js";
import { addon } from "#dist/native/native.js";
import { AddonSockets } from "#dist/net/addon-sockets.js";
import { parseAddress, type SocketAddress } from "#dist/net/address.js";
import { DescriptorBudget } from "#dist/net/descriptors.js";
import { ListeningSocket } from "#dist/net/listening-socket.js";
import { KeyRing } from "#dist/protocol/key-ring.js";
import { TunnelEmitter } from "#dist/tunnel/events.js";
import type { ConnectionReport } from "#dist/tunnel/reports.js";
import { DialedTargets } from "#dist/tunnel/target.js";
import { TargetAddresses } from "#dist/tunnel/target-addresses.js";
import { Tunnel, type TunnelParts } from "#dist/tunnel/tunnel.js";
import { type Address, freeAddress, socketOptionsOf } from "../../support/addresses.js";
import { afterwards, limits, temporaryFolder, until, within } from "../../support/cleanup.js";
import { kindsHere } from "../../support/environment.js";
import { Listener } from "../../support/listener.js";
import { ReferencePeer } from "../../support/reference-peer.js";
import { TestSocket } from "../../support/test-socket.js";
import { keyFile, socketAddressOf } from "../support/connections.js";
import { throwsSpipedError } from "../support/errors.js";
import { sharedKeyOf } from "../support/handshakes.js";
import { eventLoopTurns } from "../support/sink.js";

/** A tunnel, its target, and its events. */
interface Started {
  readonly tunnel: Tunnel;
  readonly target: Listener;
  readonly reports: readonly ConnectionReport[];
  readonly limitsReached: readonly number[];
  readonly shortages: readonly number[];
  readonly failures: readonly SpipedError[];
  /** A client that has not sent anything. */
  client(): Promise<TestSocket>;
  /** Waits for the end of the connection with this number, from 1. */
  ended(count: number): Promise<ConnectionReport>;
}

async function startTunnel(
  t: TestContext,
  role: "encrypt" | "decrypt",
  options: Partial<TunnelConfig> & {
    readonly kind?: "tcp" | "tcp6" | "unix";
    readonly descriptors?: DescriptorBudget;
    /** False: clients get Node sockets. */
    readonly viaAddon?: boolean;
  } = {},
): Promise<Started> {
  const { kind = "tcp", descriptors, viaAddon = true, ...config } = options;
  const target = await Listener.listen(t, kind);
  const reports: ConnectionReport[] = [];
  const limitsReached: number[] = [];
  const shortages: number[] = [];
  const failures: SpipedError[] = [];
  let wake: Array<() => void> = [];
  const parts = partsOf(await listenAddress(t, kind), socketAddressOf(target.address), config.sourceMode);
  parts.events
    .on("ended", (report) => {
      reports.push(report);
      for (const resolve of wake.splice(0)) resolve();
    })
    .on("limitReached", (maxConnections) => limitsReached.push(maxConnections))
    .on("descriptorsUsedUp", (connections) => shortages.push(connections))
    .on("listenFailed", (error) => failures.push(error));
  if (!viaAddon) parts.targets.addonSockets = () => undefined;
  const tunnel = new Tunnel(
    { ...nearConfig(), role, ...config },
    { ...parts, ...(descriptors === undefined ? {} : { descriptors }) },
  );
  await tunnel.start();
  afterwards(t, async () => {
    tunnel.cancel();
    await tunnel.drain();
  });
  const ended = async (count: number): Promise<ConnectionReport> => {
    const wait = async (): Promise<ConnectionReport> => {
      for (;;) {
        const report = reports[count - 1];
        if (report !== undefined) return report;
        await new Promise<void>((resolve) => {
          wake = [...wake, resolve];
        });
      }
    };
    return within(wait(), `the end of connection ${count}`);
  };
  const client = () => TestSocket.connect(t, addressOf(tunnel));
  return { tunnel, target, reports, limitsReached, shortages, failures, client, ended };
}

/** An authenticated client, which has one of the slots. */
async function friendOf({ client }: Pick<Started, "client">): Promise<TestSocket> {
  const link = await client();
  await ReferencePeer.client(link, { keyFile, x: 0n }).handshake();
  return link;
}

async function listenAddress(t: TestContext, kind: "tcp" | "tcp6" | "unix"): Promise<SocketAddress> {
  if (kind === "unix") return { kind: "unix", path: join(await temporaryFolder(t), "s") };
  return kind === "tcp"
    ? { kind: "tcp", family: 4, address: "127.0.0.1", port: 0 }
    : { kind: "tcp", family: 6, address: "::1", port: 0 };
}

function addressOf({ address }: Tunnel): Address {
  if (address.kind === "unix") return address;
  assert.ok(address.address === "127.0.0.1" || address.address === "::1");
  return { kind: "tcp", host: address.address, port: address.port };
}

for (const kind of kindsHere("tcp", "tcp6", "unix")) {
  test(
    `a tunnel on ${kind} carries data from an application to a target and back, through both ends`,
    limits,
    async (t) => {
      const far = await startTunnel(t, "decrypt", { kind });
      far.target.echo();
      const near = new Tunnel(nearConfig(), partsOf(await listenAddress(t, kind), far.tunnel.address));
      await near.start();
      afterwards(t, () => near.drain());
      const app = await TestSocket.connect(t, addressOf(near));
      await app.write("there and back");
      app.finish();
      assert.equal(Buffer.from((await app.readToEnd()).bytes).toString(), "there and back");
      const { reason, bytesForward, bytesReverse, source } = await far.ended(1);
      assert.deepEqual([reason, bytesForward, bytesReverse], ["closed", 14, 14]);
      assert.match(source, kind === "unix" ? /^uid \d+/ : kind === "tcp" ? /^\[127\.0\.0\.1\]:\d+$/ : /^\[::1\]:\d+$/);
    },
  );
}

for (const maxConnections of [1, 2, 3]) {
  test(
    `with a limit of ${maxConnections}, one more client waits, and is served when another has left`,
    limits,
    async (t) => {
      const { tunnel, client, ended, limitsReached } = await startTunnel(t, "decrypt", { maxConnections });
      const clients: ReferencePeer[] = [];
      for (let count = 0; count < maxConnections; count += 1) {
        const peer = ReferencePeer.client(await client(), { keyFile, x: 0n });
        await peer.handshake();
        clients.push(peer);
      }
      assert.equal(tunnel.connections, maxConnections);
      assert.deepEqual(limitsReached, [maxConnections]);
      const waiting = await client();
      await eventLoopTurns();
      assert.equal(waiting.waitingBytes, 0, "it gets no nonce yet");
      assert.equal(tunnel.connections, maxConnections);
      clients[0]?.link.reset();
      await ended(1);
      await ReferencePeer.client(waiting, { keyFile, x: 0n }).handshake();
      assert.equal(tunnel.connections, maxConnections);
    },
  );
}

test("clients that wait at the limit are served one by one, in order", limits, async (t) => {
  const { client, ended, target } = await startTunnel(t, "decrypt", { maxConnections: 1 });
  const first = await friendOf({ client });
  const others = [await client(), await client(), await client()];
  let current = first;
  for (const [index, next] of others.entries()) {
    assert.equal(target.acceptedCount, index + 1);
    current.reset();
    await ended(index + 1);
    await ReferencePeer.client(next, { keyFile, x: 0n }).handshake();
    await until(() => target.acceptedCount === index + 2 || undefined, "the next one's target");
    current = next;
  }
});

test("without a limit a hundred and one clients are served at once", limits, async (t) => {
  const options = { maxConnections: Number.POSITIVE_INFINITY };
  const { tunnel, client, limitsReached } = await startTunnel(t, "decrypt", options);
  for (let count = 0; count < 101; count += 1) await (await client()).read(32);
  assert.equal(tunnel.connections, 101);
  assert.deepEqual(limitsReached, []);
});

test("a draining tunnel accepts nobody, and ends when its last connection has", limits, async (t) => {
  const { tunnel, client, ended } = await startTunnel(t, "decrypt");
  const peer = ReferencePeer.client(await client(), { keyFile, x: 0n });
  await peer.handshake();
  let drained = false;
  const draining = tunnel.drain().then(() => {
    drained = true;
  });
  await assert.rejects(client(), { code: "ECONNREFUSED" });
  await eventLoopTurns();
  assert.equal(drained, false);
  peer.link.reset();
  await ended(1);
  await within(draining, "the tunnel to drain");
});

test("every caller of drain is told of the end", limits, async (t) => {
  const { tunnel, client, ended } = await startTunnel(t, "decrypt");
  const peer = ReferencePeer.client(await client(), { keyFile, x: 0n });
  await peer.handshake();
  const draining = Promise.all([tunnel.drain(), tunnel.drain()]);
  peer.link.reset();
  await ended(1);
  await within(draining, "the tunnel to drain");
});

test("a draining tunnel reports the end of its last handshake, whatever its result", limits, async (t) => {
  for (const how of ["established", "failed", "none"] as const) {
    const { tunnel, client, ended } = await startTunnel(t, "decrypt");
    let over = 0;
    tunnel.events.on("handshakesOver", () => {
      over += 1;
    });
    const friend = ReferencePeer.client(await client(), { keyFile, x: 0n });
    await friend.handshake();
    const begun = how === "none" ? undefined : ReferencePeer.client(await client(), { keyFile, x: 0n });
    await begun?.sendNonce();
    await begun?.readNonce();
    assert.equal(over, 0, "it does not drain yet");
    void tunnel.drain();
    assert.equal(over, how === "none" ? 1 : 0);
    if (how === "established") {
      await begun?.write(begun.macedPublicValue());
      await until(() => over > 0 || undefined, "the end of the handshakes");
      assert.equal(tunnel.connections, 2);
    } else if (how === "failed") {
      begun?.link.reset();
      await ended(1);
      assert.deepEqual([over, tunnel.connections], [1, 1]);
    }
  }
});

test("a tunnel without connections drains at once", limits, async (t) => {
  const { tunnel } = await startTunnel(t, "encrypt");
  await within(tunnel.drain(), "the tunnel to drain");
});

test("a tunnel at its limit drains too, and closes waiting clients", limits, async (t) => {
  const { tunnel, client } = await startTunnel(t, "decrypt", { maxConnections: 1 });
  await friendOf({ client });
  const waiting = await client();
  const draining = tunnel.drain();
  await waiting.end();
  tunnel.cancel();
  await within(draining, "the tunnel to drain");
  assert.equal(tunnel.connections, 0);
});

test("cancelling a tunnel ends each connection with that reason", limits, async (t) => {
  const { tunnel, client, reports } = await startTunnel(t, "decrypt");
  for (let count = 0; count < 3; count += 1) await (await client()).read(32);
  tunnel.cancel();
  assert.deepEqual(
    reports.map(({ reason }) => reason),
    ["cancelled", "cancelled", "cancelled"],
  );
  assert.equal(tunnel.connections, 0);
});

test("a tunnel that is cancelled but not drained accepts new clients", limits, async (t) => {
  const { tunnel, client } = await startTunnel(t, "decrypt", { maxConnections: 1 });
  await (await client()).read(32);
  tunnel.cancel();
  await (await client()).read(32);
});

test("a stranger ends with a report, and the tunnel continues", limits, async (t) => {
  const { target, client, ended, tunnel } = await startTunnel(t, "decrypt");
  const stranger = await client();
  await stranger.write(new Uint8Array(320));
  assert.equal((await ended(1)).reason, "handshake-failed");
  assert.equal(target.acceptedCount, 0);
  await ReferencePeer.client(await client(), { keyFile, x: 0n }).handshake();
  assert.equal(tunnel.connections, 1);
});

test("a UNIX socket's file exists while the tunnel listens, and is removed when it drains", limits, async (t) => {
  const { tunnel } = await startTunnel(t, "encrypt", { kind: "unix" });
  const { address } = tunnel;
  assert.ok(address.kind === "unix");
  assert.ok(existsSync(address.path));
  await tunnel.drain();
  assert.ok(!existsSync(address.path));
});

test("a source in use is an error of start", limits, async (t) => {
  const { tunnel } = await startTunnel(t, "encrypt");
  const unused = socketAddressOf(await freeAddress(t, "tcp"));
  const start = () => new Tunnel(nearConfig(), partsOf(tunnel.address, unused));
  throwsSpipedError(start, "SPIPED_LISTEN", /in use/i);
});

test(
  "a tunnel that cannot continue listening reports it once, and tries again when the next connection ends",
  limits,
  async (t) => {
    const { client, ended, failures } = await startTunnel(t, "decrypt", { maxConnections: 2, viaAddon: false });
    const [first, second] = [await friendOf({ client }), await friendOf({ client })];
    const none = t.mock.method(addon, "duplicate", () => {
      throw Object.assign(new Error("too many open files"), { code: "EMFILE" });
    });
    first.reset();
    await ended(1);
    await eventLoopTurns();
    assert.deepEqual(
      failures.map(({ code }) => code),
      ["SPIPED_LISTEN"],
    );
    none.mock.restore();
    second.reset();
    await ended(2);
    assert.equal((await (await client()).read(32)).length, 32, "it is served");
  },
);

test(
  "a tunnel that cannot continue listening retries once a second, however many connections end",
  limits,
  async (t) => {
    const maxConnections = 3;
    const { client, ended, failures } = await startTunnel(t, "decrypt", { maxConnections, viaAddon: false });
    // Before the first connection, so that its own timer uses the same clock.
    t.mock.timers.enable({ apis: ["setTimeout"] });
    const clients = [await friendOf({ client }), await friendOf({ client }), await friendOf({ client })];
    const none = t.mock.method(addon, "duplicate", () => {
      throw Object.assign(new Error("too many open files"), { code: "EMFILE" });
    });
    for (const [index, one] of clients.entries()) {
      one.reset();
      await ended(index + 1);
      await eventLoopTurns();
    }
    assert.equal(failures.length, 3);
    t.mock.timers.tick(999);
    await eventLoopTurns();
    assert.equal(failures.length, 3);
    t.mock.timers.tick(1);
    await eventLoopTurns();
    assert.equal(failures.length, 4);
    none.mock.restore();
    t.mock.timers.tick(1_000);
    await eventLoopTurns();
    assert.equal(failures.length, 4);
    t.mock.timers.reset();
    assert.equal((await (await client()).read(32)).length, 32, "it is served");
  },
);

test("a draining tunnel does not try to listen again", limits, async (t) => {
  const { tunnel, client, ended, failures } = await startTunnel(t, "decrypt", { maxConnections: 1, viaAddon: false });
  t.mock.timers.enable({ apis: ["setTimeout"] });
  const only = await friendOf({ client });
  t.mock.method(addon, "duplicate", () => {
    throw Object.assign(new Error("too many open files"), { code: "EMFILE" });
  });
  only.reset();
  await ended(1);
  await eventLoopTurns();
  assert.equal(failures.length, 1);
  await within(tunnel.drain(), "the tunnel to drain");
  t.mock.timers.tick(10_000);
  await eventLoopTurns();
  assert.equal(failures.length, 1);
});

test("clients wait while descriptors are short, and are served when anyone frees some", limits, async (t) => {
  const descriptors = new DescriptorBudget(5);
  const { tunnel, client, ended, shortages } = await startTunnel(t, "decrypt", { descriptors });
  await friendOf({ client });
  const second = await friendOf({ client });
  assert.deepEqual(shortages, [2]);
  const waiting = [await client(), await client()] as const;
  await eventLoopTurns();
  assert.deepEqual([tunnel.connections, waiting[0].waitingBytes], [2, 0]);
  descriptors.book(-1);
  await ReferencePeer.client(waiting[0], { keyFile, x: 0n }).handshake();
  assert.deepEqual([tunnel.connections, waiting[1].waitingBytes], [3, 0]);
  assert.deepEqual(shortages, [2, 3]);
  second.reset();
  await ended(1);
  await waiting[1].read(32);
  assert.equal(tunnel.connections, 3);
});

test(
  "when descriptors are short, the oldest stranger is dropped for the next client, and authenticated clients stay",
  limits,
  async (t) => {
    const descriptors = new DescriptorBudget(6);
    const { client, ended, shortages } = await startTunnel(t, "decrypt", { descriptors });
    const friend = ReferencePeer.client(await client(), { keyFile, x: 0n });
    await friend.handshake();
    const strangers = [await client(), await client()] as const;
    for (const stranger of strangers) await stranger.read(32);
    const next = ReferencePeer.client(await client(), { keyFile, x: 0n });
    await next.handshake();
    const { reason, error, phase, durationMs } = await ended(1);
    assert.deepEqual([reason, error?.code, phase], ["crowded-out", "SPIPED_CROWDED_OUT", "handshaking"]);
    assert.ok(durationMs >= 990, `after ${durationMs} ms`);
    assert.equal(await strangers[0].end(), "fin");
    await friend.send(Buffer.from("still here"));
    assert.deepEqual([strangers[1].socket.destroyed, shortages], [false, []]);
  },
);

test("a failure to set up a client's connection affects only that client", limits, async (t) => {
  const { client, ended, tunnel } = await startTunnel(t, "decrypt", { viaAddon: false });
  const broken = t.mock.method(Socket.prototype, "setNoDelay", () => {
    throw Object.assign(new Error("setsockopt EINVAL"), { code: "EINVAL" });
  });
  const link = connect(socketOptionsOf(addressOf(tunnel)));
  link.on("error", () => undefined);
  afterwards(t, () => link.destroy());
  const { reason, error } = await ended(1);
  assert.deepEqual([reason, error?.code], ["failed", "SPIPED_INTERNAL"]);
  broken.mock.restore();
  await ReferencePeer.client(await client(), { keyFile, x: 0n }).handshake();
});

test(
  "a failure to set up the connection of a client without a Node socket affects only that client, too",
  limits,
  async (t) => {
    const { client, ended, tunnel } = await startTunnel(t, "decrypt");
    const broken = t.mock.method(AddonSockets.prototype, "setEvents", () => {
      throw new Error("no memory");
    });
    const link = connect(socketOptionsOf(addressOf(tunnel)));
    const closed = once(link.resume(), "close");
    afterwards(t, () => link.destroy());
    const { reason, error } = await ended(1);
    assert.deepEqual([reason, error?.code], ["failed", "SPIPED_INTERNAL"]);
    await closed;
    broken.mock.restore();
    await ReferencePeer.client(await client(), { keyFile, x: 0n }).handshake();
  },
);

test("clients wait until the tunnel accepts", limits, async (t) => {
  const source = await listenAddress(t, "unix");
  const tunnel = new Tunnel({ ...nearConfig(), role: "decrypt" }, partsOf(source, source));
  afterwards(t, async () => {
    tunnel.cancel();
    await tunnel.drain();
  });
  const waiting = await TestSocket.connect(t, addressOf(tunnel));
  await eventLoopTurns();
  assert.deepEqual([tunnel.connections, waiting.waitingBytes], [0, 0]);
  await tunnel.start();
  assert.equal((await waiting.read(32)).length, 32);
});

test("another key is used for new handshakes, and does not affect open connections", limits, async (t) => {
  const { tunnel, client, target } = await startTunnel(t, "decrypt");
  target.echo();
  const before = ReferencePeer.client(await client(), { keyFile, x: 0n });
  await before.handshake();
  const begun = ReferencePeer.client(await client(), { keyFile, x: 0n });
  await begun.sendNonce();
  await begun.readNonce();
  const another = Buffer.from("another key");
  tunnel.keys.replace([{ name: undefined, key: sharedKeyOf(another) }]);
  await ReferencePeer.client(await client(), { keyFile: another, x: 0n }).handshake();
  await before.send(Buffer.from("still there"));
  assert.equal(Buffer.from(await before.receive(11)).toString(), "still there");
  await begun.write(begun.macedPublicValue());
  await begun.link.read(288);
});

test("a tunnel emits events of each connection and of its own to every listener", limits, async (t) => {
  const { tunnel, target, client, ended } = await startTunnel(t, "decrypt");
  const told: string[] = [];
  for (const listener of ["one", "other"]) {
    tunnel.events
      .on("accepted", ({ id, phase }) => told.push(`${listener}: accepted ${id - first} ${phase}`))
      .on("established", ({ id, phase }) => told.push(`${listener}: established ${id - first} ${phase}`))
      .on("ended", ({ id, reason }) => told.push(`${listener}: ended ${id - first} ${reason}`))
      .on("draining", () => told.push(`${listener}: draining ${tunnel.state.name}`))
      .on("drained", () => told.push(`${listener}: drained ${tunnel.state.name}`));
  }
  let first = 0;
  tunnel.events.prependOnceListener("accepted", ({ id }) => {
    first = id;
  });
  target.echo();
  const peer = ReferencePeer.client(await client(), { keyFile, x: 0n });
  await peer.handshake();
  await peer.send(Buffer.from("12345"));
  await peer.receive(5);
  const [open] = tunnel.open;
  assert.ok(open !== undefined);
  assert.deepEqual([open.phase, open.bytesForward, open.bytesReverse], ["piping", 5, 5], "counted while data flows");
  assert.ok((open.handshakeMs ?? 0) > 0 && open.ageMs >= (open.handshakeMs ?? 0));
  assert.match(open.source, /^\[127\.0\.0\.1\]:\d+$/);
  assert.equal(tunnel.isAccepting, true);
  const drained = tunnel.drain();
  assert.equal(tunnel.isAccepting, false);
  peer.link.reset();
  const report = await ended(1);
  await drained;
  assert.equal(report.handshakeMs, open.handshakeMs);
  assert.deepEqual([open.phase, open.bytesForward, open.bytesReverse], ["ended", 5, 5]);
  const life = [
    "accepted 0 handshaking",
    "established 0 piping",
    "draining draining",
    "ended 0 reset",
    "drained ended",
  ];
  assert.deepEqual(
    told,
    life.flatMap((line) => [`one: ${line}`, `other: ${line}`]),
  );
});

test("a released listening socket serves the next tunnel, and refuses nobody in between", limits, async (t) => {
  const { tunnel, target, client, ended } = await startTunnel(t, "decrypt", { maxConnections: 2 });
  target.echo();
  const before = await friendOf({ client });
  const socket = tunnel.release();
  const between = ReferencePeer.client(await client(), { keyFile, x: 0n });
  assert.equal(tunnel.state.name, "draining");
  const { address } = target;
  const next = new Tunnel({ ...nearConfig(), role: "decrypt" }, partsOf(socket, socketAddressOf(address)));
  assert.throws(() => new Tunnel(nearConfig(), partsOf(socket, socketAddressOf(address))), { code: "SPIPED_STEP" });
  await next.start();
  afterwards(t, () => {
    next.cancel();
    return next.drain();
  });
  assert.deepEqual(next.address, tunnel.address);
  await between.handshake();
  await between.send(Buffer.from("ping"));
  assert.equal(Buffer.from(await between.receive(4)).toString(), "ping");
  assert.deepEqual([tunnel.connections, next.connections], [1, 1]);
  before.reset();
  await ended(1);
  assert.equal(tunnel.state.name, "ended");
});

test("the file of a UNIX socket has the configured permissions", limits, async (t) => {
  for (const sourceMode of [0o600, 0o604, 0o666]) {
    const { tunnel } = await startTunnel(t, "encrypt", { kind: "unix", sourceMode });
    const { address } = tunnel;
    assert.ok(address.kind === "unix");
    assert.equal(statSync(address.path).mode & 0o777, sourceMode);
  }
});

function nearConfig(): TunnelConfig {
  return {
    name: undefined,
    role: "encrypt",
    source: parseAddress("[127.0.0.1]:0"),
    target: parseAddress("far.example:80"),
    sourceMode: undefined,
    resolveIntervalMs: Number.POSITIVE_INFINITY,
    bind: undefined,
    forwardSecrecy: "off",
    keepAlive: true,
    proxyProtocol: false,
    maxConnections: 100,
    timeoutMs: 60_000,
  };
}

/** The parts of a tunnel whose events nobody listens to. */
function partsOf(source: SocketAddress | ListeningSocket, target: SocketAddress, sourceMode?: number): TunnelParts {
  const descriptors = new DescriptorBudget(Number.POSITIVE_INFINITY);
  const targets = new TargetAddresses(nearConfig().target, [target], () => assert.fail("nothing is to be looked up"), {
    lookupFailed: () => undefined,
    lookupRecovered: () => undefined,
    addressesChanged: () => undefined,
  });
  return {
    keys: KeyRing.of(sharedKeyOf(keyFile)),
    socket: source instanceof ListeningSocket ? source : ListeningSocket.listen(source, sourceMode),
    targets: new DialedTargets(targets, {
      bind: undefined,
      timeoutMs: 60_000,
      keepAlive: true,
      resolveIntervalMs: Number.POSITIVE_INFINITY,
      descriptors,
    }),
    events: new TunnelEmitter(),
    descriptors,
  };
}
