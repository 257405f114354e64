// What is asked for while something is read is one more reading after it.

import assert from "node:assert/strict";
import { test } from "node:test";
import { setImmediate as turn } from "node:timers/promises";
import { CoalescedReload } from "#dist/service/coalesced-reload.js";

/** Readings that end when the test lets them. */
function heldUp() {
  const begun: string[] = [];
  const ends: Array<{ readonly end: () => void; readonly fail: (error: Error) => void }> = [];
  const reading = (name: string) => () => {
    begun.push(name);
    return new Promise<void>((end, fail) => ends.push({ end, fail }));
  };
  return { begun, ends, reading };
}

test("whatever is asked for during a reading is one more after it, and the last one's", async () => {
  const { begun, ends, reading } = heldUp();
  const reload = new CoalescedReload();
  const over: string[] = [];
  const request = (name: string) => void reload.request(reading(name)).then(() => over.push(name));
  assert.equal(reload.isRunning, false);
  for (const name of ["first", "second", "third"]) request(name);
  await turn();
  assert.deepEqual([begun, reload.isRunning], [["first"], true]);
  ends[0]?.end();
  await turn();
  // Nobody is told before the last reading is over.
  assert.deepEqual([begun, over, reload.isRunning], [["first", "third"], [], true]);
  request("fourth");
  ends[1]?.end();
  await turn();
  assert.deepEqual([begun, over], [["first", "third", "fourth"], []]);
  ends[2]?.end();
  await turn();
  assert.deepEqual([begun.length, over.length, reload.isRunning], [3, 4, false]);
});

test("readings that do not overlap are each their own", async () => {
  const begun: number[] = [];
  const reload = new CoalescedReload();
  for (const number of [1, 2, 3]) {
    await reload.request(async () => void begun.push(number));
    assert.equal(reload.isRunning, false);
  }
  assert.deepEqual(begun, [1, 2, 3]);
});

test("a reading that fails is told to all who wait for it, and holds up no later one", async () => {
  const { begun, ends, reading } = heldUp();
  const reload = new CoalescedReload();
  const asked = [reload.request(reading("first")), reload.request(reading("second"))];
  ends[0]?.fail(new Error("no memory"));
  for (const one of asked) await assert.rejects(one, /^Error: no memory$/);
  assert.deepEqual([begun, reload.isRunning], [["first"], false]);
  const later = reload.request(reading("third"));
  ends[1]?.end();
  await later;
  assert.deepEqual(begun, ["first", "third"]);
});
