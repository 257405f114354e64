// Look-ups side by side: what is shared, how many run, who waits for whom, and who stops waiting.

import assert from "node:assert/strict";
import { test } from "node:test";
import { LONGEST_MS } from "#dist/clock.js";
import { SpipedError } from "#dist/errors.js";
import type { LookupResult } from "#dist/native/native.js";
import { LookupQueue, MAX_LOOKUPS } from "#dist/net/lookup-queue.js";

/** A system in the test's hand: it answers when the test says so. */
class System {
  readonly asked: string[] = [];
  readonly #open = new Map<string, (found: LookupResult) => void>();
  readonly lookUps = new LookupQueue((host, service, done) => {
    this.asked.push(`${host} ${service}`);
    this.#open.set(host, done);
  });

  find(host: string, signal?: AbortSignal): Promise<LookupResult> {
    const timedOut = () => new SpipedError("SPIPED_TIMEOUT", "too late");
    return this.lookUps.find(host, "80", { signal, timeoutMs: LONGEST_MS, timedOut });
  }

  /** Asks for something that the test does not wait for. */
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

test("a look-up that gets no answer holds no other up", async () => {
  const system = new System();
  system.ask("silent");
  const other = system.find("other");
  system.answers("other");
  assert.deepEqual(await other, addressesOf("other"));
  system.answers("silent");
});

test("what several ask for at a time is looked up once, and all get the answer", async () => {
  const system = new System();
  const all = Promise.all([...Array(100).keys()].map(() => system.find("one")));
  assert.deepEqual(system.asked, ["one 80"]);
  system.answers("one");
  for (const found of await all) assert.deepEqual(found, addressesOf("one"));
});

test("an answer is not kept: whoever asks later has it looked up anew", async () => {
  const system = new System();
  for (const found of [addressesOf("before"), addressesOf("after"), { addresses: [], failure: "gone" }]) {
    const finding = system.find("one");
    system.answers("one", found);
    assert.deepEqual(await finding, found);
  }
  assert.equal(system.asked.length, 3);
});

test("so many look-ups run at a time, and further ones follow in order as they end", async () => {
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

test("whoever asks for what waits for its turn shares that turn", async () => {
  const system = new System();
  for (const name of names(MAX_LOOKUPS)) system.ask(name);
  const both = Promise.all([system.find("late"), system.find("late")]);
  for (const name of names(MAX_LOOKUPS)) system.answers(name);
  assert.equal(system.asked.filter((one) => one === "late 80").length, 1);
  system.answers("late");
  assert.deepEqual(await both, [addressesOf("late"), addressesOf("late")]);
});

test("what nobody waits for any more before its turn is never looked up", () => {
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

test("one that stops waiting leaves the look-up to the others", async () => {
  const system = new System();
  const abort = new AbortController();
  const reason = new Error("no more");
  const [given, kept] = [system.find("one", abort.signal), system.find("one")];
  abort.abort(reason);
  await assert.rejects(given, (error) => error === reason);
  system.answers("one");
  assert.deepEqual(await kept, addressesOf("one"));
});

test("a look-up that nobody waits for any more still has its answer for whoever asks meanwhile", async () => {
  const system = new System();
  const abort = new AbortController();
  system.ask("silent", abort.signal);
  abort.abort();
  const later = system.find("silent");
  assert.deepEqual(system.asked, ["silent 80"]);
  system.answers("silent");
  assert.deepEqual(await later, addressesOf("silent"));
});

test("look-ups that hang and are given up do not pile up, however often they are asked for", () => {
  const system = new System();
  for (let round = 0; round < 1_000; round += 1) {
    const abort = new AbortController();
    system.ask("silent", abort.signal);
    abort.abort();
  }
  assert.deepEqual(system.asked, ["silent 80"]);
});

test("a name and a service are looked up together: another service is another question", () => {
  const system = new System();
  const timedOut = () => new SpipedError("SPIPED_TIMEOUT", "too late");
  for (const service of ["80", "81"]) {
    const abort = new AbortController();
    const patience = { signal: abort.signal, timeoutMs: LONGEST_MS, timedOut };
    system.lookUps.find("one", service, patience).catch(() => undefined);
    abort.abort();
  }
  assert.deepEqual(system.asked, ["one 80", "one 81"]);
});
