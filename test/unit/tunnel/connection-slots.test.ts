// Connection slots: strangers have their own; authenticated clients wait in order.

import assert from "node:assert/strict";
import { test } from "node:test";
import { ConnectionSlots, MOST_STRANGERS, STRANGER_MS } from "#dist/tunnel/connection-slots.js";
import { eventLoopTurns } from "../support/sink.js";

function slotsOf(most: number): { readonly slots: ConnectionSlots<string>; pass(milliseconds: number): void } {
  let now = 0;
  const slots = new ConnectionSlots<string>(most, () => now);
  return { slots, pass: (milliseconds) => (now += milliseconds) };
}

test("an authenticated client gets a free slot at once", () => {
  const { slots } = slotsOf(2);
  for (const client of ["a", "b"]) {
    slots.enter(client);
    assert.equal(slots.admit(client), undefined);
  }
  assert.deepEqual([slots.taken, slots.isFull, slots.free], [2, true, 0]);
  slots.leave("a");
  assert.deepEqual([slots.taken, slots.isFull, slots.free], [1, false, 1]);
});

test("strangers take no slots, however many there are", () => {
  const { slots } = slotsOf(1);
  for (let count = 0; count < MOST_STRANGERS; count += 1) slots.enter(`stranger ${count}`);
  assert.deepEqual([slots.taken, slots.isFull, slots.strangersFull], [0, false, true]);
  slots.leave("stranger 0");
  assert.equal(slots.strangersFull, false);
});

test("authenticated clients beyond the limit wait, and the oldest gets the next free slot", async () => {
  const { slots } = slotsOf(1);
  const went: string[] = [];
  for (const client of ["a", "b", "c", "d"]) {
    slots.enter(client);
    void slots.admit(client)?.then(() => went.push(client));
  }
  await eventLoopTurns();
  assert.deepEqual(went, []);
  slots.leave("c");
  await eventLoopTurns();
  // It no longer waits, though it has no slot.
  assert.deepEqual([went.splice(0), slots.taken], [["c"], 1]);
  slots.leave("a");
  await eventLoopTurns();
  assert.deepEqual([went, slots.taken], [["b"], 1]);
  slots.leave("b");
  await eventLoopTurns();
  assert.deepEqual([went, slots.taken], [["b", "d"], 1]);
  slots.leave("d");
  assert.deepEqual([slots.taken, slots.isFull], [0, false]);
});

test("the oldest stranger is dropped first, and not before its time", () => {
  const { slots, pass } = slotsOf(1);
  assert.equal(slots.oldestStranger, undefined);
  slots.enter("a");
  pass(400);
  slots.enter("b");
  assert.deepEqual(slots.oldestStranger, { client: "a", inMs: STRANGER_MS - 400 });
  pass(STRANGER_MS);
  assert.deepEqual(slots.oldestStranger, { client: "a", inMs: 0 });
  void slots.admit("a");
  assert.deepEqual(slots.oldestStranger, { client: "b", inMs: 0 });
});

test("without a limit nobody waits", () => {
  const { slots } = slotsOf(Number.POSITIVE_INFINITY);
  for (let count = 0; count < 1_000; count += 1) assert.equal(slots.admit(`${count}`), undefined);
  assert.equal(slots.isFull, false);
});

test("leaving without having entered has no effect", () => {
  const { slots } = slotsOf(1);
  slots.leave("nobody");
  assert.equal(slots.admit("a"), undefined);
});
