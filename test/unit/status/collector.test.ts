// Statistics of tunnels, and how reloads affect them.

import assert from "node:assert/strict";
import { test } from "node:test";
import { parseAddress } from "#dist/net/address.js";
import { KeyRing } from "#dist/protocol/key-ring.js";
import { keyIdOf, sharedKeyOf } from "#dist/protocol/secret.js";
import { Collector, type WatchedTunnel } from "#dist/status/collector.js";
import { healthOf } from "#dist/status/health.js";
import type { ShownConfig } from "#dist/status/shown-config.js";
import type { TunnelSnapshot } from "#dist/status/snapshot.js";
import { TunnelEmitter } from "#dist/tunnel/events.js";
import type { ConnectionReport, ConnectionView } from "#dist/tunnel/reports.js";
import { ManualClock } from "../support/manual-clock.js";
import { lastReload } from "../support/snapshots.js";

const build = { version: "0.1.0", node: "24.1.0", platform: "linux-x64" };

const redis: ShownConfig = {
  name: "redis",
  role: "decrypt",
  source: parseAddress("[0.0.0.0]:6380"),
  target: parseAddress("redis.example:6379"),
  maxConnections: 100,
};

const ssh: ShownConfig = { ...redis, name: "ssh" };

const open: ConnectionView = {
  id: 1,
  phase: "piping",
  source: "[10.0.0.1]:7",
  keyName: undefined,
  ageMs: 5,
  handshakeMs: 4,
  bytesForward: 1,
  bytesReverse: 2,
};

const report: ConnectionReport = { ...open, reason: "closed", error: undefined, durationMs: 5 };

/** A tunnel that the test controls. */
class FakeTunnel implements WatchedTunnel {
  readonly events = new TunnelEmitter();
  readonly keys = KeyRing.of(sharedKeyOf(Buffer.from("the key")));
  open: ConnectionView[] = [];
  state: WatchedTunnel["state"] = { name: "listening", waitsFor: undefined };
}

function collect({ now = () => 0 }: { readonly now?: () => number } = {}): Collector {
  return new Collector({ build, reloads: { last: lastReload }, clock: new ManualClock(), timeOfDay: now });
}

function only(collector: Collector): TunnelSnapshot {
  const { tunnels } = collector.snapshot(10);
  assert.equal(tunnels.length, 1);
  assert.ok(tunnels[0] !== undefined);
  return tunnels[0];
}

test("events of a tunnel are counted, and its open connections are included", () => {
  const collector = collect();
  const tunnel = new FakeTunnel();
  collector.watch(redis, tunnel);
  tunnel.events.emit("accepted", open);
  tunnel.open = [open];
  tunnel.events.emit("established", open);
  const before = only(collector);
  assert.deepEqual([before.open, before.accepted, before.bytesForward, before.busiest.length], [1, 1, 1, 1]);
  tunnel.open = [];
  tunnel.events.emit("ended", { ...report, bytesForward: 10 });
  const after = only(collector);
  assert.deepEqual([after.open, after.bytesForward, after.busiest.length], [0, 10, 0]);
  assert.deepEqual(
    after.ended.filter(({ count }) => count > 0),
    [{ reason: "closed", key: "", count: 1 }],
  );
});

test("a tunnel is shown as configured, with its key ids", () => {
  const collector = collect();
  const tunnel = new FakeTunnel();
  collector.watch({ ...redis, name: undefined }, tunnel);
  const { name, role, source, target, keys, maxConnections } = only(collector);
  assert.deepEqual(
    [name, role, source, target, maxConnections],
    ["[0.0.0.0]:6380", "decrypt", "[0.0.0.0]:6380", "redis.example:6379", 100],
  );
  const other = sharedKeyOf(Buffer.from("another key"));
  assert.deepEqual(keys, [{ name: "", id: keyIdOf(sharedKeyOf(Buffer.from("the key"))) }]);
  tunnel.keys.replace([{ name: "web1", key: other }]);
  assert.deepEqual(only(collector).keys, [{ name: "web1", id: keyIdOf(other) }]);
});

test("a tunnel is starting until it listens, and unauthenticated clients do not make it full", () => {
  const collector = collect();
  collector.add(redis);
  assert.deepEqual([only(collector).state, only(collector).isAccepting], ["starting", false]);
  const tunnel = new FakeTunnel();
  collector.watch(redis, tunnel);
  for (const [state, shown, isAccepting] of [
    [{ name: "idle" }, "starting", false],
    [{ name: "listening", waitsFor: undefined }, "listening", true],
    [{ name: "listening", waitsFor: "strangers" }, "listening", true],
    [{ name: "listening", waitsFor: "slots" }, "listening", false],
    [{ name: "listening", waitsFor: "descriptors" }, "listening", false],
    [{ name: "ended" }, "draining", false],
  ] as const) {
    tunnel.state = state;
    const { state: found, isAccepting: accepts } = only(collector);
    assert.deepEqual([found, accepts], [shown, isAccepting], JSON.stringify(state));
  }
});

test("a tunnel without a key is not accepting", () => {
  const collector = collect();
  const tunnel = new FakeTunnel();
  collector.watch(redis, tunnel);
  const key = sharedKeyOf(Buffer.from("another key"));
  tunnel.keys.replace([]);
  assert.ok(!only(collector).isAccepting);
  assert.equal(healthOf(collector.states()).isWell, false);
  tunnel.keys.replace([{ name: "web1", key }]);
  assert.ok(only(collector).isAccepting);
});

test("a tunnel that replaces another keeps its counters and connections", () => {
  const collector = collect();
  const [first, second] = [new FakeTunnel(), new FakeTunnel()];
  collector.watch(redis, first);
  first.events.emit("accepted", open);
  first.open = [open];
  first.state = { name: "draining", drained: Promise.resolve(), lastEnded: () => undefined };
  collector.watch({ ...redis, maxConnections: 5 }, second);
  second.events.emit("accepted", open);
  second.open = [{ ...open, id: 2 }];
  const both = only(collector);
  assert.deepEqual([both.open, both.accepted, both.bytesForward, both.maxConnections], [2, 2, 2, 5]);
  assert.deepEqual([both.state, both.isAccepting], ["listening", true]);
  first.open = [];
  first.events.emit("ended", report);
  first.events.emit("drained");
  assert.deepEqual([only(collector).open, only(collector).bytesForward], [1, 2]);
});

test("a removed tunnel is shown until its last connection ends, and does not affect health", () => {
  const collector = collect();
  const [tunnel, other] = [new FakeTunnel(), new FakeTunnel()];
  collector.watch(redis, tunnel);
  collector.watch(ssh, other);
  tunnel.open = [open];
  collector.remove(redis);
  const names = () => collector.snapshot(0).tunnels.map(({ name, state }) => `${name} ${state}`);
  assert.deepEqual(names(), ["redis removed", "ssh listening"]);
  assert.ok(healthOf(collector.states()).isWell);
  tunnel.open = [];
  tunnel.events.emit("drained");
  assert.deepEqual(names(), ["ssh listening"]);
  collector.remove(ssh);
  collector.add(ssh);
  assert.deepEqual(names(), ["ssh listening"]);
});

test("the start time does not change when the clock is set", () => {
  let now = 1e12;
  const collector = collect({ now: () => now });
  const { startedAtMs } = collector.snapshot(0);
  now += 3_600_000;
  assert.equal(collector.snapshot(0).startedAtMs, startedAtMs);
});

test("health is draining while the process shuts down", () => {
  const collector = collect();
  collector.watch(redis, new FakeTunnel());
  assert.equal(healthOf(collector.states()).word, "ok");
  collector.stopping();
  assert.equal(healthOf(collector.states()).word, "draining");
});

test("connections from before a reload are counted separately from the new tunnel's", () => {
  const collector = collect();
  const [old, current] = [new FakeTunnel(), new FakeTunnel()];
  collector.watch(redis, old);
  old.open = [open, { ...open, phase: "handshaking" }];
  assert.deepEqual([only(collector).open, only(collector).draining], [1, 0]);
  collector.watch(redis, current);
  current.open = [open];
  assert.deepEqual([only(collector).open, only(collector).draining], [2, 1]);
});
