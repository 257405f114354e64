// The failure reporting of all channels: the first failure wins, and is reported once, asynchronously.

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

test("only the first failure is reported, once", async () => {
  const latch = new Latch();
  const told: string[] = [];
  latch.onFailure(({ message }) => told.push(message));
  latch.breaks("first");
  latch.breaks("second");
  assert.deepEqual(told, [], "the failure is reported later, not during the call");
  await microtasks();
  latch.breaks("third");
  await microtasks();
  assert.deepEqual(told, ["first"]);
});

test("a failure that precedes its listener is reported to it, asynchronously", async () => {
  const latch = new Latch();
  const told: string[] = [];
  latch.breaks("early");
  latch.onFailure(({ message }) => told.push(message));
  assert.deepEqual(told, []);
  await microtasks();
  assert.deepEqual(told, ["early"]);
});

test("nothing is reported after a close, not even a failure just before it", async () => {
  const latch = new Latch();
  const told: string[] = [];
  latch.onFailure(({ message }) => told.push(message));
  latch.breaks("just before");
  latch.closes();
  latch.breaks("after");
  await microtasks();
  assert.deepEqual(told, []);
});
