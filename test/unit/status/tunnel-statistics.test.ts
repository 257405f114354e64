// Counters of a tunnel.

import assert from "node:assert/strict";
import { test } from "node:test";
import { SpipedError } from "#dist/errors.js";
import { countOf } from "#dist/status/histogram.js";
import { figuresOf, TunnelStatistics } from "#dist/status/tunnel-statistics.js";
import type { ConnectionReport, ConnectionView } from "#dist/tunnel/reports.js";

const report: ConnectionReport = {
  id: 1,
  reason: "closed",
  error: undefined,
  phase: "piping",
  source: "[10.0.0.1]:7",
  keyName: undefined,
  handshakeMs: 4,
  bytesForward: 10,
  bytesReverse: 20,
  durationMs: 2_000,
};

const stranger: ConnectionReport = {
  ...report,
  reason: "handshake-failed",
  error: new SpipedError("SPIPED_WRONG_MAC", "wrong MAC"),
  phase: "handshaking",
  handshakeMs: undefined,
  bytesForward: 0,
  bytesReverse: 0,
};

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

const nothing = figuresOf([], "decrypt", 0);

test("each reason has a counter from the start, and each key from its first connection", () => {
  const statistics = new TunnelStatistics();
  assert.equal(statistics.ended.length, 10);
  assert.ok(statistics.ended.every(({ key, count }) => key === "" && count === 0));
  statistics.addEnded(report);
  statistics.addEnded({ ...report, keyName: "web1" });
  statistics.addEnded({ ...report, keyName: "web1" });
  const counted = statistics.ended.filter(({ count }) => count > 0);
  assert.deepEqual(counted, [
    { reason: "closed", key: "", count: 1 },
    { reason: "closed", key: "web1", count: 2 },
  ]);
});

test("bytes are counted while a connection is open and once after its end, so counters never decrease", () => {
  const statistics = new TunnelStatistics();
  const seen: number[] = [];
  const look = (views: readonly ConnectionView[]) => {
    seen.push(statistics.bytesWith(figuresOf(views, "encrypt", 0)).bytesForward);
  };
  look([]);
  look([open]);
  look([{ ...open, bytesForward: 7 }]);
  statistics.addEnded(report);
  look([]);
  look([{ ...open, id: 2 }]);
  assert.deepEqual(seen, [0, 1, 7, 10, 11]);
  assert.deepEqual(statistics.bytesWith(nothing), { bytesForward: 10, bytesReverse: 20 });
});

test("a successful handshake is counted once, even if the target is down; a failed one never", () => {
  const statistics = new TunnelStatistics();
  statistics.addHandshake(3);
  statistics.addEnded(report);
  assert.equal(countOf(statistics.handshakes), 1);
  statistics.addEnded({ ...report, reason: "connect-failed", phase: "client-known" });
  assert.equal(countOf(statistics.handshakes), 2);
  statistics.addEnded(stranger);
  assert.equal(countOf(statistics.handshakes), 2);
  assert.deepEqual([countOf(statistics.connections), statistics.connections.sum], [2, 4]);
});

test("failures of unauthenticated clients do not evict others, and the newest come first", () => {
  let now = 0;
  const statistics = new TunnelStatistics(() => now);
  statistics.addEnded({ ...report, reason: "truncated", error: new SpipedError("SPIPED_TRUNCATED", "cut") });
  for (now = 1; now <= 1_000; now += 1) statistics.addEnded(stranger);
  statistics.addEnded(report);
  const { failures } = statistics;
  assert.deepEqual(
    failures.map(({ atMs }) => atMs),
    [1_000, 999, 998, 997, 996, 995, 0],
  );
  assert.deepEqual(failures.at(-1), { atMs: 0, peer: report.source, key: "", reason: "truncated", message: "cut" });
});

test("stored messages are truncated", () => {
  const statistics = new TunnelStatistics();
  statistics.addEnded({ ...stranger, error: new SpipedError("SPIPED_RESET", "x".repeat(100_000)) });
  assert.ok((statistics.failures[0]?.message.length ?? 0) < 1_000);
});

test("unauthenticated clients are counted separately, only at a decrypting end", () => {
  const phases = ["dialing", "handshaking", "handshaking", "client-known", "piping"] as const;
  const views = phases.map((phase, id) => ({ ...open, id, phase }));
  const count = (role: "encrypt" | "decrypt") => {
    const { open: authenticated, strangers } = figuresOf(views, role, 0);
    return [authenticated, strangers];
  };
  assert.deepEqual(count("decrypt"), [3, 2]);
  assert.deepEqual(count("encrypt"), [5, 0]);
});

test("the busiest connections are listed in order, no more than requested", () => {
  const moved = [5, 1, 9, 7, 3, 9, 0, 8];
  const views = moved.map((bytesForward, id) => ({ ...open, id, bytesForward, bytesReverse: 0 }));
  const listed = (most: number) => figuresOf(views, "encrypt", most).busiest.map(({ bytesForward }) => bytesForward);
  assert.deepEqual(listed(0), []);
  assert.deepEqual(listed(1), [9]);
  assert.deepEqual(listed(4), [9, 9, 8, 7]);
  assert.deepEqual(listed(100), [9, 9, 8, 7, 5, 3, 1, 0]);
});

test("at most two hundred key names have counters of their own", () => {
  const statistics = new TunnelStatistics();
  for (let count = 0; count < 300; count += 1) statistics.addEnded({ ...report, keyName: `client-${count}` });
  const closed = statistics.ended.filter(({ reason }) => reason === "closed");
  assert.equal(closed.length, 1 + 200 + 1);
  assert.equal(closed.find(({ key }) => key === "(others)")?.count, 100);
});
