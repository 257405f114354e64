// When reads of busy one-way streams of small messages wait.

import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { ChunkBudget, ChunkPool } from "#dist/tunnel/chunk-pool.js";
import { CoalescingTimer, GAP_MS, ReadCoalescer, SMALL_BYTES, SMALL_READS, WAIT_MS } from "#dist/tunnel/coalescing.js";
import { FairScheduler } from "#dist/tunnel/fairness.js";
import { Pump } from "#dist/tunnel/pump.js";
import { CopyingFraming } from "../support/framings.js";
import { ManualClock } from "../support/manual-clock.js";
import { ManualReader, ManualWritable } from "../support/manual-streams.js";
import { eventLoopTurns } from "../support/sink.js";

function afterSmallReads(count: number): ReadCoalescer {
  const pace = new ReadCoalescer(true, 0);
  for (let read = 0; read < count; read += 1) assert.equal(pace.afterRead(80, 0), false);
  return pace;
}

test("waits after the eighth small read in a row, not before", () => {
  assert.equal(afterSmallReads(SMALL_READS - 1).afterRead(80, 0), true);
});

test("a pause, a large read or data in the other direction restarts the count", () => {
  assert.equal(afterSmallReads(SMALL_READS - 1).afterRead(80, GAP_MS), false);
  const afterLarge = afterSmallReads(SMALL_READS - 1);
  assert.equal(afterLarge.afterRead(SMALL_BYTES, 0), false);
  assert.equal(afterLarge.afterRead(80, 0), false);
  const interrupted = afterSmallReads(SMALL_READS - 1);
  interrupted.interrupt();
  assert.equal(interrupted.afterRead(80, 0), false);
});

test("the time of a wait does not count as a pause", () => {
  const pace = afterSmallReads(SMALL_READS - 1);
  assert.equal(pace.afterRead(80, 0), true);
  pace.waited(WAIT_MS);
  assert.equal(pace.afterRead(80, WAIT_MS + GAP_MS / 2), true);
});

test("never waits when disabled", () => {
  const pace = new ReadCoalescer(false, 0);
  for (let read = 0; read < 100; read += 1) assert.equal(pace.afterRead(80, 0), false);
});

/** Usual values, with an unusual one now and then. */
function mostly<T>(usual: fc.Arbitrary<T>, unusual: fc.Arbitrary<T>): fc.Arbitrary<T> {
  return fc.oneof({ weight: 29, arbitrary: usual }, unusual);
}

/** Arrivals: after how long, how many bytes, and whether data came in the other direction before. */
const arrivals = fc.array(
  fc.record({
    laterMs: mostly(fc.double({ min: 0, max: 0.4, noNaN: true }), fc.double({ min: 0, max: 1.2, noNaN: true })),
    bytes: mostly(fc.integer({ min: 1, max: 200 }), fc.integer({ min: 1, max: 40_000 })),
    isAnswered: mostly(fc.constant(false), fc.boolean()),
  }),
  { maxLength: 200, size: "max" },
);

test("no read waits longer than the limit, or without eight small ones before it", () => {
  let waits = 0;
  fc.assert(
    fc.property(arrivals, (all) => {
      const { clock, reader, writable, pump, nextTurn } = pumping();
      let inARow = 0;
      for (const { laterMs, bytes, isAnswered } of all) {
        if (isAnswered) {
          pump.interrupt();
          inARow = 0;
        }
        clock.pass(laterMs);
        const writtenBytes = writable.bytes.length;
        inARow = bytes < SMALL_BYTES && laterMs < GAP_MS ? inARow + 1 : 0;
        const resumes = reader.resumes;
        const readsOn = reader.give(new Uint8Array(bytes));
        assert.equal(writable.bytes.length, writtenBytes + bytes, "what was read goes out at once");
        // A direction that has used its share waits for the next iteration alone.
        if (nextTurn()) continue;
        assert.equal(clock.waiting > 0, inARow >= SMALL_READS);
        assert.equal(readsOn, clock.waiting === 0);
        if (readsOn) continue;
        waits += 1;
        clock.pass(WAIT_MS);
        assert.equal(reader.resumes, resumes + 1, "the wait is over");
        assert.equal(clock.waiting, 0);
      }
    }),
  );
  assert.ok(waits > 100, `${waits} waits are too few to say anything`);
});

/** A direction whose clock and event loop are controlled by the test. */
function pumping({
  clock = new ManualClock(),
  timer = new CoalescingTimer(clock),
  coalescing = true,
  leavesBytesToSystem = true,
} = {}) {
  const reader = new ManualReader();
  reader.leavesBytesToSystem = leavesBytesToSystem;
  const writable = new ManualWritable();
  const told: unknown[] = [];
  let arrivals = 0;
  const resting: Array<() => void> = [];
  const pump = new Pump({
    from: reader,
    framing: new CopyingFraming(),
    chunks: new ChunkPool(new ChunkBudget(1e9)),
    scheduler: new FairScheduler((callback) => resting.push(callback)),
    timer,
    coalescing,
    to: writable,
    arrived: () => {
      arrivals += 1;
    },
    ended: () => told.push("ended"),
    failed: (error) => told.push(error),
  });
  pump.start();
  const waitForMore = () => {
    for (let read = 1; read < SMALL_READS; read += 1) assert.equal(reader.give(new Uint8Array(80)), true);
    assert.equal(reader.give(new Uint8Array(80)), false);
  };
  /** Begins the next iteration, if awaited. */
  const nextTurn = () => {
    const due = resting.splice(0);
    for (const callback of due) callback();
    return due.length > 0;
  };
  return { clock, reader, writable, pump, told, waitForMore, nextTurn, arrivals: () => arrivals };
}

test("a pump reports each arrival", () => {
  const { waitForMore, arrivals } = pumping();
  waitForMore();
  assert.equal(arrivals(), SMALL_READS);
});

test("data in the other direction ends a wait at once", () => {
  const { clock, reader, pump, waitForMore } = pumping();
  waitForMore();
  assert.equal(reader.resumes, 0);
  pump.interrupt();
  assert.equal(reader.resumes, 1);
  assert.equal(clock.waiting, 0);
  waitForMore();
});

test("the time of a wait does not count as a pause of a pump's stream either", () => {
  const { clock, reader, waitForMore } = pumping();
  waitForMore();
  clock.pass(WAIT_MS);
  assert.equal(reader.give(new Uint8Array(80)), false);
  assert.equal(clock.waiting, 1);
});

test("a stopped pump leaves no timer behind", () => {
  const { clock, reader, pump, waitForMore } = pumping();
  waitForMore();
  pump.stop();
  assert.equal(clock.waiting, 0);
  clock.pass(10);
  assert.equal(reader.resumes, 0);
});

test("an end that arrives during a wait is passed on at once", async () => {
  const { clock, reader, writable, told, waitForMore } = pumping();
  waitForMore();
  reader.end();
  await eventLoopTurns();
  assert.deepEqual(told, ["ended"]);
  assert.ok(writable.writableFinished);
  clock.pass(10);
  assert.equal(reader.resumes, 0);
});

for (const [what, options] of [
  ["without coalescing a pump never waits", { coalescing: false }],
  ["what a program's stream has in its memory never waits", { leavesBytesToSystem: false }],
] as const) {
  test(what, () => {
    const { clock, reader } = pumping(options);
    for (let read = 0; read < 100; read += 1) assert.equal(reader.give(new Uint8Array(80)), true);
    assert.equal(clock.waiting, 0);
  });
}

test("a pump whose receiver is full waits only for the receiver", async () => {
  const { clock, reader, writable } = pumping();
  for (let read = 1; read < SMALL_READS; read += 1) reader.give(new Uint8Array(80));
  await eventLoopTurns();
  writable.holds = true;
  assert.equal(reader.give(new Uint8Array(80)), false);
  assert.equal(clock.waiting, 0);
  await writable.release();
  assert.equal(reader.resumes, 1);
});

test("one timer serves all waiters, and a later one waits no longer than the first", () => {
  const clock = new ManualClock();
  const timer = new CoalescingTimer(clock);
  const all = [pumping({ clock, timer }), pumping({ clock, timer })] as const;
  all[0].waitForMore();
  clock.pass(WAIT_MS / 4);
  all[1].waitForMore();
  assert.equal(clock.waiting, 1);
  all[0].pump.stop();
  assert.equal(clock.waiting, 1, "the other one still waits");
  clock.pass((WAIT_MS * 3) / 4);
  assert.deepEqual(
    all.map(({ reader }) => reader.resumes),
    [0, 1],
  );
});

test("a wait keeps the process alive, which a socket that is not being read does not", () => {
  const timers = () => process.getActiveResourcesInfo().filter((kind) => kind === "Timeout").length;
  const before = timers();
  const timer = new CoalescingTimer();
  const waiter = { readAgain: () => undefined };
  timer.begin(waiter);
  assert.equal(timers(), before + 1);
  timer.cancel(waiter);
  assert.equal(timers(), before);
});
