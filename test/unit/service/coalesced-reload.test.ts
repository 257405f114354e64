// Requests during a reload lead to one more reload.

import assert from "node:assert/strict";
import { test } from "node:test";
import { setImmediate as turn } from "node:timers/promises";
import { CoalescedReload } from "#dist/service/coalesced-reload.js";

/** Reloads that the test completes. */
function heldUp() {
  const begun: string[] = [];
  const ends: Array<{ readonly end: () => void; readonly fail: (error: Error) => void }> = [];
  const reading = (name: string) => () => {
    begun.push(name);
    return new Promise<void>((end, fail) => ends.push({ end, fail }));
  };
  return { begun, ends, reading };
}

test("requests during a reload lead to one more, the last one's", async () => {
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
  // No request resolves before the last reload is done.
  assert.deepEqual([begun, over, reload.isRunning], [["first", "third"], [], true]);
  request("fourth");
  ends[1]?.end();
  await turn();
  assert.deepEqual([begun, over], [["first", "third", "fourth"], []]);
  ends[2]?.end();
  await turn();
  assert.deepEqual([begun.length, over.length, reload.isRunning], [3, 4, false]);
});

test("reloads that do not overlap all run", async () => {
  const begun: number[] = [];
  const reload = new CoalescedReload();
  for (const number of [1, 2, 3]) {
    await reload.request(async () => void begun.push(number));
    assert.equal(reload.isRunning, false);
  }
  assert.deepEqual(begun, [1, 2, 3]);
});

test("a failed reload rejects all waiting requests and does not block later ones", async () => {
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
