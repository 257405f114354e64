// Places: strangers have their own, friends wait for theirs in their order.

import assert from "node:assert/strict";
import { test } from "node:test";
import { MOST_STRANGERS, Places, STRANGER_MS } from "#dist/tunnel/places.js";
import { turns } from "../support/sink.js";

function placesOf(most: number): { readonly places: Places<string>; pass(milliseconds: number): void } {
  let now = 0;
  const places = new Places<string>(most, () => now);
  return { places, pass: (milliseconds) => (now += milliseconds) };
}

test("whoever is known takes a place at once while there are some", () => {
  const { places } = placesOf(2);
  for (const client of ["a", "b"]) {
    places.enter(client);
    assert.equal(places.admit(client), undefined);
  }
  assert.deepEqual([places.taken, places.areFull], [2, true]);
});

test("strangers take no places, however many they are", () => {
  const { places } = placesOf(1);
  for (let count = 0; count < MOST_STRANGERS; count += 1) places.enter(`stranger ${count}`);
  assert.deepEqual([places.taken, places.areFull, places.areStrangersFull], [0, false, true]);
  places.leave("stranger 0");
  assert.equal(places.areStrangersFull, false);
});

test("who is known beyond the limit waits, and the oldest goes on when a place is free", async () => {
  const { places } = placesOf(1);
  const went: string[] = [];
  for (const client of ["a", "b", "c", "d"]) {
    places.enter(client);
    void places.admit(client)?.then(() => went.push(client));
  }
  await turns();
  assert.deepEqual(went, []);
  places.leave("c");
  await turns();
  // It waits no more, though it has no place.
  assert.deepEqual([went.splice(0), places.taken], [["c"], 1]);
  places.leave("a");
  await turns();
  assert.deepEqual([went, places.taken], [["b"], 1]);
  places.leave("b");
  await turns();
  assert.deepEqual([went, places.taken], [["b", "d"], 1]);
  places.leave("d");
  assert.deepEqual([places.taken, places.areFull], [0, false]);
});

test("the oldest stranger gives way first, and not before its time", () => {
  const { places, pass } = placesOf(1);
  assert.equal(places.oldestStranger, undefined);
  places.enter("a");
  pass(400);
  places.enter("b");
  assert.deepEqual(places.oldestStranger, { client: "a", inMs: STRANGER_MS - 400 });
  pass(STRANGER_MS);
  assert.deepEqual(places.oldestStranger, { client: "a", inMs: 0 });
  places.admit("a");
  assert.deepEqual(places.oldestStranger, { client: "b", inMs: 0 });
});

test("without a limit nobody waits", () => {
  const { places } = placesOf(Number.POSITIVE_INFINITY);
  for (let count = 0; count < 1_000; count += 1) assert.equal(places.admit(`${count}`), undefined);
  assert.equal(places.areFull, false);
});

test("who was never there leaves nothing behind", () => {
  const { places } = placesOf(1);
  places.leave("nobody");
  assert.equal(places.admit("a"), undefined);
});
