// Descriptors as they are booked: by connections, and by the attempts of a dial that run beside each other.

import assert from "node:assert/strict";
import { closeSync, openSync } from "node:fs";
import { type TestContext, test } from "node:test";
import { SpipedError } from "#dist/errors.js";
import type { SocketAddress } from "#dist/net/address.js";
import { DESCRIPTORS_PER_CONNECTION, DescriptorBudget } from "#dist/net/descriptors.js";
import { dial } from "#dist/net/dial.js";
import { createReadBuffer } from "#dist/net/socket-reader.js";
import { afterwards, limits } from "../../support/cleanup.js";
import { deafAddress } from "../../support/deaf-listener.js";

const attemptDelayMs = 250;

/** What is left, to a descriptor. */
function freeOf(budget: DescriptorBudget): number {
  let booked = 0;
  for (; budget.hasRoom; booked += 1) budget.book(1);
  budget.book(-booked);
  return booked + DESCRIPTORS_PER_CONNECTION - 1;
}

test("there is room for one connection however little is free", () => {
  for (const free of [Number.NEGATIVE_INFINITY, -100, 0, 1, 2]) {
    const budget = new DescriptorBudget(free);
    assert.ok(budget.hasRoom);
    budget.book(DESCRIPTORS_PER_CONNECTION);
    assert.ok(!budget.hasRoom);
  }
});

test("there is always room where nothing limits it", () => {
  const budget = new DescriptorBudget(Number.POSITIVE_INFINITY);
  budget.book(1_000_000);
  assert.ok(budget.hasRoom);
});

test("what is open or reserved is no longer free", (t) => {
  const before = DescriptorBudget.measure().connections;
  if (process.platform === "win32" || before === Number.POSITIVE_INFINITY) {
    t.skip("descriptors are not limited");
    return;
  }
  const open = Array.from({ length: 20 }, () => openSync(process.execPath, "r"));
  afterwards(t, () => {
    for (const one of open) closeSync(one);
  });
  assert.equal(DescriptorBudget.measure().connections, before - 20 / DESCRIPTORS_PER_CONNECTION);
  assert.equal(DescriptorBudget.measure(10).connections, before - 30 / DESCRIPTORS_PER_CONNECTION);
});

test("whoever waits for room is woken once, when there is enough for a connection", () => {
  const budget = new DescriptorBudget(4);
  budget.book(4);
  const woken: string[] = [];
  budget.whenRoom(() => woken.push("first"));
  budget.whenRoom(() => woken.push("second"));
  budget.book(-1);
  assert.deepEqual(woken, []);
  budget.book(-1);
  assert.deepEqual(woken, ["first", "second"]);
  budget.book(-2);
  assert.deepEqual(woken, ["first", "second"]);
});

test("of several that wait, as many take room as there is, and the others wait on", () => {
  const budget = new DescriptorBudget(2);
  budget.book(2);
  let count = 0;
  const takeOrWait = (): void => {
    if (!budget.hasRoom) {
      budget.whenRoom(() => takeOrWait());
      return;
    }
    count += 1;
    budget.book(2);
  };
  for (let waiting = 0; waiting < 3; waiting += 1) takeOrWait();
  for (let given = 1; given <= 3; given += 1) {
    budget.book(-2);
    assert.equal(count, given);
    assert.ok(!budget.hasRoom);
  }
});

test("a measured budget leaves room for what the process has open and may open", () => {
  const [first, second] = [DescriptorBudget.measure(), DescriptorBudget.measure()];
  assert.ok(first.hasRoom);
  assert.ok(Math.abs(freeOf(first) - freeOf(second)) <= 2);
});

test("of a dial's attempts, those beside the first are booked, and given back at its end", limits, async (t) => {
  const budget = new DescriptorBudget(10);
  const dialling = startDial(t, [await silent(t), await silent(t), await silent(t)], budget);
  assert.equal(freeOf(budget), 10);
  t.mock.timers.tick(attemptDelayMs);
  assert.equal(freeOf(budget), 9);
  t.mock.timers.tick(attemptDelayMs);
  assert.equal(freeOf(budget), 8);
  await dialling.giveUp();
  assert.equal(freeOf(budget), 10);
});

test("a dial goes on with one attempt while there is no room for another", limits, async (t) => {
  const budget = new DescriptorBudget(3);
  const dialling = startDial(t, [await silent(t), await silent(t), await silent(t)], budget);
  budget.book(2);
  t.mock.timers.tick(10 * attemptDelayMs);
  assert.equal(freeOf(budget), 1);
  budget.book(-2);
  t.mock.timers.tick(attemptDelayMs);
  assert.equal(freeOf(budget), 2);
  await dialling.giveUp();
  assert.equal(freeOf(budget), 3);
});

async function silent(t: TestContext): Promise<SocketAddress> {
  const address = await deafAddress(t);
  assert.ok(address.kind === "tcp");
  return { kind: "tcp", family: 4, address: address.host, port: address.port };
}

/** Dials with the clock in the test's hand. */
function startDial(
  t: TestContext,
  addresses: readonly SocketAddress[],
  descriptors: DescriptorBudget,
): { giveUp(): Promise<void> } {
  t.mock.timers.enable({ apis: ["setTimeout"] });
  const abort = new AbortController();
  const readBuffer = createReadBuffer();
  const rest = { name: "far.test:80", bind: undefined, timeoutMs: 60_000, keepAlive: true, exactLength: 0 };
  const dialled = dial({ ...rest, addresses, readBuffer, descriptors, signal: abort.signal });
  const giveUp = async (): Promise<void> => {
    abort.abort();
    await assert.rejects(dialled, (error) => error instanceof SpipedError && error.code === "SPIPED_CANCELLED");
  };
  return { giveUp };
}
