// Booking of descriptors, by connections and by concurrent attempts of a dial.

import assert from "node:assert/strict";
import { closeSync, openSync, readdirSync } from "node:fs";
import { type TestContext, test } from "node:test";
import { SpipedError } from "#dist/errors.js";
import type { SocketAddress } from "#dist/net/address.js";
import { DESCRIPTORS_PER_CONNECTION, DescriptorBudget, descriptorLimit } from "#dist/net/descriptors.js";
import { dial } from "#dist/net/dial.js";
import { createReadBuffer } from "#dist/net/socket-reader.js";
import { afterwards, limits } from "../../support/cleanup.js";
import { deafAddress } from "../../support/deaf-listener.js";

const attemptDelayMs = 250;

/** The exact number of free descriptors. */
function freeOf(budget: DescriptorBudget): number {
  let booked = 0;
  for (; budget.hasRoom; booked += 1) budget.book(1);
  budget.book(-booked);
  return booked + DESCRIPTORS_PER_CONNECTION - 1;
}

test("there is always room for one connection", () => {
  for (const free of [Number.NEGATIVE_INFINITY, -100, 0, 1, 2]) {
    const budget = new DescriptorBudget(free);
    assert.ok(budget.hasRoom);
    budget.book(DESCRIPTORS_PER_CONNECTION);
    assert.ok(!budget.hasRoom);
  }
});

test("there is always room if there is no limit", () => {
  const budget = new DescriptorBudget(Number.POSITIVE_INFINITY);
  budget.book(1_000_000);
  assert.ok(budget.hasRoom);
});

test("open and reserved descriptors are not free", (t) => {
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

test("a few descriptors stay free for lookups, key files and the like", (t) => {
  if (process.platform !== "linux" || descriptorLimit() > 1e9) {
    t.skip("descriptors are not limited, or cannot be counted");
    return;
  }
  const free = descriptorLimit() - readdirSync("/proc/self/fd").length;
  const kept = free - DescriptorBudget.measure().connections * DESCRIPTORS_PER_CONNECTION;
  assert.ok(kept >= 30 && kept <= 36, `${kept} are kept`);
});

test("a waiter is woken once, when there is enough room for a connection", () => {
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

test("of several waiters, as many as there is room for proceed, and the others keep waiting", () => {
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

test("a measured budget excludes what the process has open and keeps a reserve", () => {
  const [first, second] = [DescriptorBudget.measure(), DescriptorBudget.measure()];
  assert.ok(first.hasRoom);
  assert.ok(Math.abs(freeOf(first) - freeOf(second)) <= 2);
});

test("a dial books all its attempts except the first, and releases them at its end", limits, async (t) => {
  const budget = new DescriptorBudget(10);
  const dialing = startDial(t, [await silent(t), await silent(t), await silent(t)], budget);
  assert.equal(freeOf(budget), 10);
  t.mock.timers.tick(attemptDelayMs);
  assert.equal(freeOf(budget), 9);
  t.mock.timers.tick(attemptDelayMs);
  assert.equal(freeOf(budget), 8);
  await dialing.giveUp();
  assert.equal(freeOf(budget), 10);
});

test("a dial continues with one attempt while there is no room for another", limits, async (t) => {
  const budget = new DescriptorBudget(3);
  const dialing = startDial(t, [await silent(t), await silent(t), await silent(t)], budget);
  budget.book(2);
  t.mock.timers.tick(10 * attemptDelayMs);
  assert.equal(freeOf(budget), 1);
  budget.book(-2);
  t.mock.timers.tick(attemptDelayMs);
  assert.equal(freeOf(budget), 2);
  await dialing.giveUp();
  assert.equal(freeOf(budget), 3);
});

async function silent(t: TestContext): Promise<SocketAddress> {
  const address = await deafAddress(t);
  assert.ok(address.kind === "tcp");
  return { kind: "tcp", family: 4, address: address.host, port: address.port };
}

/** Dials with a mocked clock. */
function startDial(
  t: TestContext,
  addresses: readonly SocketAddress[],
  descriptors: DescriptorBudget,
): { giveUp(): Promise<void> } {
  t.mock.timers.enable({ apis: ["setTimeout"] });
  const abort = new AbortController();
  const readBuffer = createReadBuffer();
  const rest = { name: "far.test:80", bind: undefined, timeoutMs: 60_000, keepAlive: true, exactLength: 0 };
  const dialed = dial({ ...rest, addresses, readBuffer, descriptors, signal: abort.signal });
  const giveUp = async (): Promise<void> => {
    abort.abort();
    await assert.rejects(dialed, (error) => error instanceof SpipedError && error.code === "SPIPED_CANCELLED");
  };
  return { giveUp };
}
