// Summaries of failed connections: the first failures of a kind are logged, the rest of a minute is summed up.

import assert from "node:assert/strict";
import { test } from "node:test";
import { SpipedError } from "#dist/errors.js";
import { summedEntry } from "#dist/observe/connection-entries.js";
import { type Failure, FailureSummaries } from "#dist/observe/failure-summaries.js";
import { logOfTunnel } from "#dist/observe/log.js";
import { asSpipedError } from "#dist/protocol/native-errors.js";
import type { ConnectionReport } from "#dist/tunnel/reports.js";
import { logged } from "../support/logged.js";
import { ManualClock } from "../support/manual-clock.js";
import { memoryLog } from "../support/memory-log.js";

/** Kinds of failures, as summaries name them. */
type Kind = "reset" | "truncated";

interface Started {
  readonly clock: ManualClock;
  readonly lines: string[];
  readonly failures: FailureSummaries;
  add(from: string, kind?: Kind): void;
}

function started(): Started {
  const clock = new ManualClock();
  const lines: string[] = [];
  const failures = new FailureSummaries((sum) => lines.push(summedEntry(sum).message), clock);
  const add = (from: string, reason: Kind = "reset") => {
    const write = () => void lines.push(`${reason} from ${from}`);
    const failure: Failure = { facts: { reason }, example: `example of ${from}`, from, write };
    failures.add(failure);
  };
  return { clock, lines, failures, add };
}

test("ten failures of one kind in a minute are logged one by one", () => {
  const { clock, lines, add } = started();
  for (let count = 0; count < 10; count += 1) add("a");
  clock.pass(60_000);
  assert.deepEqual(lines, Array(10).fill("reset from a"));
});

test("failures after the tenth are summed up at the end of the minute, and the next minute starts anew", () => {
  const { clock, lines, add } = started();
  for (let count = 0; count < 11; count += 1) add("a");
  clock.pass(59_999);
  assert.equal(lines.length, 10);
  clock.pass(1);
  assert.deepEqual(lines.slice(10), ["reset: 1 more from a in the last minute; last: example of a"]);
  clock.pass(60_000);
  assert.equal(lines.length, 11);
  add("b");
  assert.equal(lines[11], "reset from b");
});

test("a summary names the number of addresses, and the one with most failures", () => {
  const { clock, lines, add } = started();
  for (let count = 0; count < 4_000; count += 1) add(count % 4 === 0 ? `rare ${count % 44}` : "often");
  clock.pass(60_000);
  assert.match(lines[10] ?? "", /: 3,990 more from 12 addresses in the last minute, most from often \(2,993\); last/);
  assert.equal(lines.length, 11);
});

test("each kind is counted separately", () => {
  const { lines, failures, add } = started();
  for (let count = 0; count < 1_000; count += 1) add("a", "reset");
  add("b", "truncated");
  assert.equal(lines[10], "truncated from b");
  failures.flush();
  assert.match(lines[11] ?? "", /^reset: 990 more from a /);
  assert.equal(lines.length, 12);
});

test("a summary before the end of the minute names its time span and is not repeated", () => {
  const { clock, lines, failures, add } = started();
  for (let count = 0; count < 12; count += 1) add("a");
  clock.pass(7_000);
  failures.flush();
  assert.match(lines[10] ?? "", /2 more from a in the last 7 s/);
  add("b");
  clock.pass(53_000);
  assert.equal(lines.length, 12, "the new minute is not over");
  for (let count = 0; count < 10; count += 1) add("b");
  clock.pass(7_000);
  assert.match(lines.at(-1) ?? "", /1 more from b in the last minute/);
});

test("the number of tracked addresses is bounded, and the most frequent one is still found", () => {
  const { lines, failures, add } = started();
  for (let count = 0; count < 100_000; count += 1) add(count % 2 === 0 ? `[${count}]` : "[often]");
  failures.flush();
  assert.match(lines[10] ?? "", /99,990 more from more than 256 addresses in the last 1 s, most from \[often\]/);
});

test("nothing is logged if there is nothing to sum up", () => {
  const { clock, lines, failures } = started();
  failures.flush();
  clock.pass(1_000_000);
  assert.deepEqual(lines, []);
});

const report: ConnectionReport = {
  id: 1,
  keyName: undefined,
  handshakeMs: undefined,
  reason: "handshake-failed",
  error: new SpipedError("SPIPED_WRONG_MAC", "wrong MAC"),
  phase: "handshaking",
  source: "[2001:db8::1]:7",
  bytesForward: 0,
  bytesReverse: 0,
  durationMs: 3,
};

test("4,000 unauthenticated clients cause a few messages and hide no other failure; the last summary is logged on drain", () => {
  const clock = new ManualClock();
  const { log, warnings } = memoryLog();
  const events = logged(log, clock);
  for (let count = 0; count < 4_000; count += 1) {
    events.emit("ended", { ...report, source: `[2001:db8::${count % 12}]:${count}` });
    events.emit("ended", { ...report, reason: "reset", error: new SpipedError("SPIPED_RESET", "source: gone") });
  }
  assert.equal(warnings.length, 20);
  events.emit("ended", {
    ...report,
    reason: "reset",
    phase: "piping",
    error: new SpipedError("SPIPED_RESET", "cut"),
  });
  assert.match(warnings[20] ?? "", /: reset: cut \(0 bytes forward/);
  events.emit("drained");
  assert.equal(warnings.length, 23);
  assert.match(warnings[21] ?? "", /^handshake failed: 3,990 more from 12 addresses .* most from \[2001:db8::\d+\]/);
  assert.match(warnings[22] ?? "", /^reset: 3,990 more from \[2001:db8::1\] /);
  assert.ok(Buffer.byteLength(warnings.join("\n")) < 4_096, `${Buffer.byteLength(warnings.join("\n"))} bytes`);
});

test("one client's failures do not hide another's, and the summary names the key", () => {
  const { log, warnings } = memoryLog();
  const events = logged(log, new ManualClock());
  const of = (keyName: string) => ({ ...report, keyName, phase: "piping" as const });
  for (let count = 0; count < 20; count += 1) events.emit("ended", of("alice"));
  events.emit("ended", of("bob"));
  assert.equal(warnings.length, 11);
  assert.match(warnings[10] ?? "", /\(key bob, /);
  events.emit("drained");
  assert.match(warnings[11] ?? "", / \(key alice\): 10 more from /);
});

test("users of a UNIX socket are told apart by uid, not by process", () => {
  const { log, warnings } = memoryLog();
  const events = logged(log, new ManualClock());
  for (let count = 0; count < 20; count += 1) events.emit("ended", { ...report, source: `uid 7 (pid ${count})` });
  events.emit("drained");
  assert.match(warnings[10] ?? "", /10 more from uid 7 in/);
});

test("an internal error is logged as one, with its stack", () => {
  const { log, errors } = memoryLog();
  const bug = new TypeError("x is not a function");
  logged(log).emit("ended", { ...report, reason: "failed", error: asSpipedError(bug) });
  assert.match(errors[0] ?? "", /^connection from .*: failed: internal error: x is not a function \(/);
  assert.match(
    errors.slice(1).join("\n"),
    /^ {2}TypeError: x is not a function\n {2}at .*failure-summaries\.test\.js:\d+/,
  );
  assert.match(errors.at(-1) ?? "", /^ {2}hint: .*please report it$/);
  for (const line of errors.slice(1)) assert.match(line, /^ {2}\S/);
});

test("other errors have no stack", () => {
  const { log, warnings } = memoryLog();
  logged(log).emit("ended", report);
  assert.equal(warnings.length, 1);
});

test("a summary has facts and the tunnel's name; each tunnel counts separately", () => {
  const { log, entries } = memoryLog();
  const clock = new ManualClock();
  const [redis, mail] = [logged(logOfTunnel(log, "redis"), clock), logged(logOfTunnel(log, "mail"), clock)];
  for (let count = 0; count < 14; count += 1)
    redis.emit("ended", { ...report, source: `[10.0.0.${count % 2}]:${count}` });
  mail.emit("ended", report);
  clock.pass(60_000);
  assert.deepEqual(
    entries.map(({ event, tunnel }) => `${tunnel} ${event}`),
    [...Array(10).fill("redis connection-ended"), "mail connection-ended", "redis connections-summed"],
  );
  const { message, hint, stack, ...facts } = entries.at(-1) ?? {};
  assert.deepEqual(facts, {
    key: undefined,
    event: "connections-summed",
    level: "warning",
    tunnel: "redis",
    phase: "handshaking",
    reason: "handshake-failed",
    code: "SPIPED_WRONG_MAC",
    recognized: undefined,
    count: 4,
    addresses: 2,
    moreAddresses: undefined,
    mostFrom: "[10.0.0.0]",
    mostCount: 2,
    spanMs: 60_000,
  });
});
