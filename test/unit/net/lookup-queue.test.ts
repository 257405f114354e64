// Concurrent lookups: sharing, the limit, the queue, and callers that stop waiting.

import assert from "node:assert/strict";
import { test } from "node:test";
import { LONGEST_MS } from "#dist/clock.js";
import { SpipedError } from "#dist/errors.js";
import type { LookupResult } from "#dist/native/native.js";
import { LookupQueue, MAX_LOOKUPS } from "#dist/net/lookup-queue.js";

/** A resolver that answers when the test says so. */
class System {
  readonly asked: string[] = [];
  readonly #open = new Map<string, (found: LookupResult) => void>();
  readonly lookups = new LookupQueue((host, service, done) => {
    this.asked.push(`${host} ${service}`);
    this.#open.set(host, done);
  });

  find(host: string, signal?: AbortSignal): Promise<LookupResult> {
    const timedOut = () => new SpipedError("SPIPED_TIMEOUT", "too late");
    return this.lookups.find(host, "80", { signal, timeoutMs: LONGEST_MS, timedOut });
  }

  /** Starts a lookup without waiting for it. */
  ask(host: string, signal?: AbortSignal): void {
    this.find(host, signal).catch(() => undefined);
  }

  answers(host: string, found: LookupResult = addressesOf(host)): void {
    const done = this.#open.get(host);
    assert.ok(done !== undefined, `${host} is looked up`);
    this.#open.delete(host);
    done(found);
  }
}

function addressesOf(host: string): LookupResult {
  return { addresses: [{ family: 4, address: `address of ${host}`, port: 80 }] };
}

function names(count: number): readonly string[] {
  return [...Array(count).keys()].map((number) => `name-${number}`);
}

test("a lookup without an answer does not delay others", async () => {
  const system = new System();
  system.ask("silent");
  const other = system.find("other");
  system.answers("other");
  assert.deepEqual(await other, addressesOf("other"));
  system.answers("silent");
});

test("concurrent requests for the same name share one lookup, and all get the answer", async () => {
  const system = new System();
  const all = Promise.all([...Array(100).keys()].map(() => system.find("one")));
  assert.deepEqual(system.asked, ["one 80"]);
  system.answers("one");
  for (const found of await all) assert.deepEqual(found, addressesOf("one"));
});

test("answers are not cached", async () => {
  const system = new System();
  for (const found of [addressesOf("before"), addressesOf("after"), { addresses: [], failure: "gone" }]) {
    const finding = system.find("one");
    system.answers("one", found);
    assert.deepEqual(await finding, found);
  }
  assert.equal(system.asked.length, 3);
});

test("the number of running lookups is limited, and further ones start in order", async () => {
  const system = new System();
  const all = names(MAX_LOOKUPS + 3);
  for (const name of all) system.ask(name);
  assert.equal(system.asked.length, MAX_LOOKUPS);
  for (const [place, name] of all.slice(0, 3).entries()) {
    system.answers(name, place === 0 ? { addresses: [], failure: "no such name" } : addressesOf(name));
    assert.equal(system.asked.at(-1), `name-${MAX_LOOKUPS + place} 80`);
    assert.equal(system.asked.length, MAX_LOOKUPS + place + 1);
  }
  for (const name of all.slice(3)) system.answers(name);
});

test("a request can share a lookup that is still queued", async () => {
  const system = new System();
  for (const name of names(MAX_LOOKUPS)) system.ask(name);
  const both = Promise.all([system.find("late"), system.find("late")]);
  for (const name of names(MAX_LOOKUPS)) system.answers(name);
  assert.equal(system.asked.filter((one) => one === "late 80").length, 1);
  system.answers("late");
  assert.deepEqual(await both, [addressesOf("late"), addressesOf("late")]);
});

test("a queued lookup whose callers have all stopped waiting is never started", () => {
  const system = new System();
  for (const name of names(MAX_LOOKUPS)) system.ask(name);
  const [first, second] = [new AbortController(), new AbortController()];
  system.ask("late", first.signal);
  system.ask("late", second.signal);
  system.ask("later", first.signal);
  first.abort();
  second.abort();
  for (const name of names(MAX_LOOKUPS)) system.answers(name);
  assert.equal(system.asked.length, MAX_LOOKUPS);
});

test("a caller that stops waiting leaves the lookup to the others", async () => {
  const system = new System();
  const abort = new AbortController();
  const reason = new Error("no more");
  const [given, kept] = [system.find("one", abort.signal), system.find("one")];
  abort.abort(reason);
  await assert.rejects(given, (error) => error === reason);
  system.answers("one");
  assert.deepEqual(await kept, addressesOf("one"));
});

test("a running lookup without callers still answers later requests", async () => {
  const system = new System();
  const abort = new AbortController();
  system.ask("silent", abort.signal);
  abort.abort();
  const later = system.find("silent");
  assert.deepEqual(system.asked, ["silent 80"]);
  system.answers("silent");
  assert.deepEqual(await later, addressesOf("silent"));
});

test("lookups that hang do not pile up, however often they are requested and abandoned", () => {
  const system = new System();
  for (let round = 0; round < 1_000; round += 1) {
    const abort = new AbortController();
    system.ask("silent", abort.signal);
    abort.abort();
  }
  assert.deepEqual(system.asked, ["silent 80"]);
});

test("requests for different services of a host are separate lookups", () => {
  const system = new System();
  const timedOut = () => new SpipedError("SPIPED_TIMEOUT", "too late");
  for (const service of ["80", "81"]) {
    const abort = new AbortController();
    const patience = { signal: abort.signal, timeoutMs: LONGEST_MS, timedOut };
    system.lookups.find("one", service, patience).catch(() => undefined);
    abort.abort();
  }
  assert.deepEqual(system.asked, ["one 80", "one 81"]);
});
