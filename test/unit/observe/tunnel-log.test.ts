// Log messages for the events of a tunnel.

import assert from "node:assert/strict";
import { test } from "node:test";
import { setImmediate as turn } from "node:timers/promises";
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import type { Clock } from "#dist/clock.js";
import { type EndReason, SpipedError } from "#dist/errors.js";
import { endedEntry } from "#dist/observe/connection-entries.js";
import { configureLog } from "#dist/observe/log-settings.js";
import { logTunnel } from "#dist/observe/tunnel-log.js";
import { TunnelEmitter } from "#dist/tunnel/events.js";
import type { ConnectionReport } from "#dist/tunnel/reports.js";
import { logged } from "../support/logged.js";
import { ManualClock } from "../support/manual-clock.js";
import { memoryLog } from "../support/memory-log.js";
import { onPlatform } from "../support/platform.js";

/** A clock whose timers never fire. */
function clock(now: () => number): Clock {
  return { now, later: () => () => undefined };
}

const failed: ConnectionReport = {
  id: 1,
  keyName: undefined,
  handshakeMs: undefined,
  reason: "handshake-failed",
  error: new SpipedError("SPIPED_WRONG_MAC", "wrong MAC"),
  phase: "handshaking",
  source: "[10.0.0.1]:7",
  bytesForward: 0,
  bytesReverse: 0,
  durationMs: 3,
};

test("each failed connection is one line", () => {
  const { log, notices, warnings, errors } = memoryLog();
  const events = logged(log);
  events.emit("ended", failed);
  events.emit("ended", { ...failed, reason: "closed", error: undefined });
  events.emit("ended", failed);
  assert.deepEqual(warnings, [
    "connection from [10.0.0.1]:7: handshake failed: wrong MAC (0.003 s)",
    "connection from [10.0.0.1]:7: handshake failed: wrong MAC (0.003 s)",
  ]);
  assert.deepEqual([notices, errors], [[], []]);
});

test("a reached limit is logged at most once a minute", () => {
  const { log, notices, warnings, errors } = memoryLog();
  let now = 0;
  const events = logged(
    log,
    clock(() => now),
  );
  for (now of [0, 1, 59_999, 60_000, 60_001, 119_999, 120_000]) events.emit("limitReached", 100);
  assert.equal(warnings.length, 3);
  assert.deepEqual([notices, errors], [[], []]);
  assert.match(
    warnings[0] ?? "",
    /^connection limit reached \(-n 100\), new clients wait; hint: raise -n, or check that -t does not lead back to -s, directly or through other tunnels$/,
  );
});

test("a failure to listen is logged as an error", () => {
  const { log, notices, warnings, errors } = memoryLog();
  const error = new SpipedError("SPIPED_LISTEN", "cannot accept");
  logged(log).emit("listenFailed", error);
  assert.deepEqual(errors, ["cannot accept"]);
  assert.deepEqual([notices, warnings], [[], []]);
});

test("a repeated accept error is logged once a minute, and a different one at once", () => {
  const { log, errors } = memoryLog();
  let now = 0;
  const events = logged(
    log,
    clock(() => now),
  );
  const full = new SpipedError("SPIPED_LISTEN", "cannot accept: too many open files");
  for (now = 0; now < 180_000; now += 1_000) events.emit("listenFailed", full);
  assert.equal(errors.length, 3);
  events.emit("listenFailed", new SpipedError("SPIPED_LISTEN", "cannot remove the socket"));
  assert.equal(errors.length, 4);
});

test("a limit of one connection is logged", () => {
  const { log, warnings } = memoryLog();
  logged(log).emit("limitReached", 1);
  assert.deepEqual(warnings, [
    "connection limit reached (-n 1), new clients wait; hint: raise -n, or check that -t does not lead back to -s, directly or through other tunnels",
  ]);
});

test("on Windows, the message says that clients above the limit are refused", (t) => {
  onPlatform(t, "win32");
  const { log, warnings } = memoryLog();
  logged(log).emit("limitReached", 2);
  assert.deepEqual(warnings, [
    "connection limit reached (-n 2), new clients are refused; hint: raise -n, or check that -t does not lead back to -s, directly or through other tunnels",
  ]);
});

test("a lack of descriptors is a warning that says how to raise the limit", () => {
  const { log, warnings } = memoryLog();
  logged(log).emit("descriptorsUsedUp", 500);
  assert.equal(warnings.length, 1);
  assert.match(
    warnings[0] ?? "",
    /^out of file descriptors with 500 open connections, new clients wait; hint: .*ulimit -n$/,
  );
});

test("both limits share one message a minute, for each log", () => {
  const one = memoryLog();
  const other = memoryLog();
  let now = 0;
  const events = logged(
    one.log,
    clock(() => now),
  );
  events.emit("limitReached", 2);
  events.emit("descriptorsUsedUp", 2);
  logged(
    other.log,
    clock(() => now),
  ).emit("descriptorsUsedUp", 2);
  assert.deepEqual([one.warnings.length, other.warnings.length], [1, 1]);
  now = 60_000;
  events.emit("descriptorsUsedUp", 2);
  assert.equal(one.warnings.length, 2);
});

test("a failed lookup is a warning that says that the old addresses are kept", () => {
  const { log, notices, warnings, errors } = memoryLog();
  logged(log).emit("lookupFailed", new SpipedError("SPIPED_RESOLVE", "cannot resolve far.test:80: no answer"));
  assert.deepEqual(warnings, ["cannot resolve far.test:80: no answer; keeping the old addresses"]);
  assert.deepEqual([notices, errors], [[], []]);
});

test("the end of an outage of the name server is logged", () => {
  const { log, notices, warnings, errors } = memoryLog();
  logged(log).emit("lookupRecovered", "far.test:80");
  assert.deepEqual([notices, warnings, errors], [["target far.test:80 resolves again"], [], []]);
});

test("new addresses are logged, all of them in order", () => {
  const { log, notices, warnings, errors } = memoryLog();
  logged(log).emit("addressesChanged", "far.test:80", [
    { kind: "tcp", family: 6, address: "2001:db8::1", port: 80 },
    { kind: "tcp", family: 4, address: "192.0.2.1", port: 80 },
  ]);
  assert.deepEqual(notices, ["target far.test:80 now resolves to [2001:db8::1]:80, [192.0.2.1]:80"]);
  assert.deepEqual([warnings, errors], [[], []]);
});

const report: ConnectionReport = {
  id: 1,
  keyName: undefined,
  handshakeMs: undefined,
  reason: "reset",
  error: new SpipedError("SPIPED_RESET", "source [10.0.0.1]:7: connection reset by peer"),
  phase: "piping",
  source: "[10.0.0.1]:7",
  bytesForward: 12,
  bytesReverse: 0,
  durationMs: 1_234.5678,
};

test("an orderly end is logged at level debug", () => {
  const closed = { ...report, reason: "closed", error: undefined, keyName: "laptop", handshakeMs: 12 } as const;
  const { level, message } = endedEntry(closed);
  assert.equal(level, "debug");
  assert.equal(
    message,
    "connection from [10.0.0.1]:7: closed (key laptop, 12 bytes forward, 0 back, 1.235 s, handshake 0.012 s)",
  );
});

test("at level debug, a connection is logged when accepted, established and ended", (t) => {
  configureLog({ level: "debug" });
  t.after(() => configureLog({ level: "info" }));
  const { log, debugs, warnings } = memoryLog();
  const events = logged(log);
  const view = { ...report, ageMs: 3, handshakeMs: undefined };
  events.emit("accepted", { ...view, phase: "dialing" });
  events.emit("established", { ...view, keyName: "laptop", handshakeMs: 12 });
  events.emit("ended", { ...report, reason: "closed", error: undefined });
  assert.deepEqual(debugs, [
    "connection from [10.0.0.1]:7: accepted",
    "connection from [10.0.0.1]:7: established (key laptop, handshake 0.012 s)",
    "connection from [10.0.0.1]:7: closed (12 bytes forward, 0 back, 1.235 s)",
  ]);
  assert.deepEqual(warnings, []);
});

test("below debug, healthy connections are not logged", () => {
  const { log, entries } = memoryLog();
  const events = logged(log);
  assert.deepEqual([events.listenerCount("accepted"), events.listenerCount("established")], [0, 0]);
  events.emit("ended", { ...report, reason: "closed", error: undefined });
  assert.deepEqual(entries, []);
});

test("failures of unauthenticated clients do not evict others from the recent ones, nor the other way round", () => {
  const { log } = memoryLog();
  const events = new TunnelEmitter();
  const recent = logTunnel(log, events, new ManualClock());
  events.emit("ended", { ...failed, phase: "piping", reason: "reset" });
  for (let count = 0; count < 50; count += 1) events.emit("ended", failed);
  assert.deepEqual([recent.length, recent[0]?.entry.phase], [11, "piping"]);
  for (let count = 0; count < 50; count += 1) events.emit("ended", { ...failed, phase: "dialing" });
  assert.equal(recent.length, 20);
});

test("at level error, failures are not logged but still remembered", (t) => {
  configureLog({ level: "error" });
  t.after(() => configureLog({ level: "info" }));
  const { log, entries } = memoryLog();
  const events = new TunnelEmitter();
  const recent = logTunnel(log, events, new ManualClock());
  for (let count = 0; count < 30; count += 1) events.emit("ended", { ...failed, durationMs: count });
  events.emit("drained");
  assert.deepEqual(entries, []);
  assert.deepEqual(
    recent.map(({ entry: { durationMs } }) => durationMs),
    [20, 21, 22, 23, 24, 25, 26, 27, 28, 29],
  );
});

test("the message about an end has all facts", () => {
  const { message, stack, ...facts } = endedEntry({ ...report, keyName: "laptop", handshakeMs: 12 });
  assert.deepEqual(facts, {
    event: "connection-ended",
    level: "warning",
    hint: undefined,
    connection: 1,
    peer: "[10.0.0.1]:7",
    key: "laptop",
    phase: "piping",
    reason: "reset",
    code: "SPIPED_RESET",
    recognized: undefined,
    bytesForward: 12,
    bytesReverse: 0,
    durationMs: 1_234.5678,
    handshakeMs: 12,
  });
});

test("a failure is one line with peer, reason, error, bytes and duration", () => {
  assert.equal(
    endedEntry(report).message,
    "connection from [10.0.0.1]:7: reset: source [10.0.0.1]:7: connection reset by peer (12 bytes forward, 0 back, 1.235 s)",
  );
});

test("an end before any data could flow has no byte counts", () => {
  for (const phase of ["dialing", "handshaking", "client-known"] as const) {
    const { message } = endedEntry({ ...report, phase, reason: "timed-out", error: undefined });
    assert.equal(message, "connection from [10.0.0.1]:7: timed out (1.235 s)");
  }
});

test("a remembered failure does not keep the connection alive", async () => {
  const { log } = memoryLog();
  const events = new TunnelEmitter();
  const recent = logTunnel(log, events, new ManualClock());
  // More than are logged one by one, so that one is pending in a summary.
  const errors = Array.from({ length: 15 }, () => {
    const error = new SpipedError("SPIPED_RESET", "connection reset by peer");
    events.emit("ended", { ...report, reason: "reset", error });
    return new WeakRef(error);
  });
  assert.equal(recent.length, 10);
  await collectGarbage();
  assert.deepEqual(
    errors.map((error) => error.deref()),
    errors.map(() => undefined),
  );
  assert.match(recent.at(-1)?.entry.message ?? "", /reset: connection reset by peer/);
});

test("each reason has its own text", () => {
  const reasons: Readonly<Record<Exclude<EndReason, "closed">, string>> = {
    "connect-failed": "connect failed",
    "handshake-failed": "handshake failed",
    "timed-out": "timed out",
    "packet-rejected": "packet rejected",
    truncated: "truncated",
    reset: "reset",
    cancelled: "cancelled",
    "crowded-out": "crowded out",
    failed: "failed",
  };
  for (const [reason, words] of Object.entries(reasons) as readonly [EndReason, string][]) {
    assert.match(endedEntry({ ...report, reason }).message, new RegExp(`^connection from [^ ]+ ${words}: `));
  }
});

/** Collects garbage. */
async function collectGarbage(): Promise<void> {
  setFlagsFromString("--expose-gc");
  const collect: () => void = runInNewContext("gc");
  // WeakRef targets created in this turn live until it ends.
  await turn();
  collect();
}
