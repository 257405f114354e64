// The one rule for the failures of all channels: the first wins, is told once, and not in the middle of what failed.

import assert from "node:assert/strict";
import { test } from "node:test";
import { SpipedError } from "#dist/errors.js";
import { FailureLatch } from "#dist/net/failure-latch.js";

class Latch extends FailureLatch {
  breaks(words: string): void {
    this.fail(new SpipedError("SPIPED_RESET", words));
  }

  closes(): void {
    this.settle();
  }
}

const microtasks = () => new Promise<void>((resolve) => setImmediate(resolve));

test("the first failure is told once, and no other", async () => {
  const latch = new Latch();
  const told: string[] = [];
  latch.onFailure(({ message }) => told.push(message));
  latch.breaks("first");
  latch.breaks("second");
  assert.deepEqual(told, [], "whoever failed goes on before anybody hears of it");
  await microtasks();
  latch.breaks("third");
  await microtasks();
  assert.deepEqual(told, ["first"]);
});

test("a failure that comes before its listener is told to it, not at once", async () => {
  const latch = new Latch();
  const told: string[] = [];
  latch.breaks("early");
  latch.onFailure(({ message }) => told.push(message));
  assert.deepEqual(told, []);
  await microtasks();
  assert.deepEqual(told, ["early"]);
});

test("nothing is told after a close, of a failure just before it neither", async () => {
  const latch = new Latch();
  const told: string[] = [];
  latch.onFailure(({ message }) => told.push(message));
  latch.breaks("just before");
  latch.closes();
  latch.breaks("after");
  await microtasks();
  assert.deepEqual(told, []);
});
