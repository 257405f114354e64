// The target's addresses: what each lookup changes, and when the next one begins.

import assert from "node:assert/strict";
import { type TestContext, test } from "node:test";
import fc from "fast-check";
import { SpipedError } from "#dist/errors.js";
import { formatAddress, parseAddress, type SocketAddress } from "#dist/net/address.js";
import { type Lookup, TargetAddresses } from "#dist/tunnel/target-addresses.js";

type Found = Awaited<ReturnType<Lookup>>;

/** A resolver controlled by the test: each lookup is pending until the test answers it. */
class Resolver {
  readonly asked: string[] = [];
  #answer: { resolve(found: Found): void; reject(error: Error): void } | undefined;

  readonly lookup: Lookup = (address) => {
    this.asked.push(formatAddress(address));
    return new Promise((resolve, reject) => {
      this.#answer = { resolve, reject };
    });
  };

  async gives(...hosts: readonly string[]): Promise<void> {
    this.#answer?.resolve(addressesOf(hosts));
    await settled();
  }

  async fails(): Promise<void> {
    this.#answer?.reject(new SpipedError("SPIPED_RESOLVE", "no such name"));
    await settled();
  }
}

/** Lets everything happen that does not wait for a timer. */
async function settled(): Promise<void> {
  await new Promise((resolve) => setImmediate(resolve));
}

function addressesOf(hosts: readonly string[]): Found {
  const [first, ...others] = hosts.map((address): SocketAddress => ({ kind: "tcp", family: 4, address, port: 80 }));
  assert.ok(first !== undefined);
  return [first, ...others];
}

function targetsOf(
  name: string,
  hosts: readonly string[],
): { targets: TargetAddresses; resolver: Resolver; said: string[] } {
  const resolver = new Resolver();
  const said: string[] = [];
  const targets = new TargetAddresses(parseAddress(name), addressesOf(hosts), resolver.lookup, {
    lookupFailed: (error) => said.push(error.message),
    lookupRecovered: (name) => said.push(`${name} again`),
    addressesChanged: (changed, addresses) => said.push(`${changed} is ${addresses.map(formatAddress).join(" ")}`),
  });
  return { targets, resolver, said };
}

function hostsOf(targets: TargetAddresses): readonly string[] {
  return targets.addresses.map((address) => (address.kind === "tcp" ? address.address : address.path));
}

function mockTime(t: TestContext): void {
  t.mock.timers.enable({ apis: ["setInterval"] });
}

test("a name is resolved again when the interval is over, and not a millisecond earlier", async (t) => {
  mockTime(t);
  const { targets, resolver } = targetsOf("far.test:80", ["192.0.2.1"]);
  targets.refreshEvery(1_000);
  t.mock.timers.tick(999);
  assert.equal(resolver.asked.length, 0);
  t.mock.timers.tick(1);
  assert.deepEqual(resolver.asked, ["far.test:80"]);
  await resolver.gives("192.0.2.1");
  t.mock.timers.tick(1_000);
  assert.equal(resolver.asked.length, 2);
});

test("lookups do not pile up behind one that gets no answer", async (t) => {
  mockTime(t);
  const { targets, resolver } = targetsOf("far.test:80", ["192.0.2.1"]);
  targets.refreshEvery(1_000);
  t.mock.timers.tick(10_000);
  assert.equal(resolver.asked.length, 1);
  await resolver.gives("192.0.2.2");
  assert.deepEqual(hostsOf(targets), ["192.0.2.2"]);
  t.mock.timers.tick(1_000);
  assert.equal(resolver.asked.length, 2);
});

test("lookups continue after one that failed", async (t) => {
  mockTime(t);
  const { targets, resolver } = targetsOf("far.test:80", ["192.0.2.1"]);
  targets.refreshEvery(1_000);
  t.mock.timers.tick(1_000);
  await resolver.fails();
  t.mock.timers.tick(1_000);
  assert.equal(resolver.asked.length, 2);
});

test("nothing is resolved after stop", (t) => {
  mockTime(t);
  const { targets, resolver } = targetsOf("far.test:80", ["192.0.2.1"]);
  targets.refreshEvery(1_000);
  targets.stop();
  t.mock.timers.tick(10_000);
  assert.equal(resolver.asked.length, 0);
});

test("stop cancels a pending lookup, without a report", async (t) => {
  mockTime(t);
  const signals: AbortSignal[] = [];
  const said: string[] = [];
  const lookup: Lookup = (_address, { signal }) => {
    signals.push(signal);
    return new Promise((_resolve, reject) => {
      signal.addEventListener("abort", () => reject(new SpipedError("SPIPED_CANCELLED", "given up")));
    });
  };
  const targets = new TargetAddresses(parseAddress("far.test:80"), addressesOf(["192.0.2.1"]), lookup, {
    lookupFailed: (error) => said.push(error.message),
    lookupRecovered: (name) => said.push(`${name} again`),
    addressesChanged: (changed) => said.push(changed),
  });
  const refreshing = targets.refresh();
  targets.stop();
  await refreshing;
  targets.refreshEvery(1_000);
  t.mock.timers.tick(10_000);
  assert.deepEqual([signals.length, said], [1, []]);
});

for (const [what, name, intervalMs] of [
  ["an IP address", "[192.0.2.1]:80", 1_000],
  ["a UNIX socket", "/run/far.sock", 1_000],
  ["a name whose interval has no end", "far.test:80", Number.POSITIVE_INFINITY],
] as const) {
  test(`${what} is never resolved again`, (t) => {
    mockTime(t);
    const { targets, resolver } = targetsOf(name, ["192.0.2.1"]);
    targets.refreshEvery(intervalMs);
    t.mock.timers.tick(1_000_000_000);
    assert.equal(resolver.asked.length, 0);
  });
}

test("the addresses are kept while a lookup is pending, and after it failed", async () => {
  const { targets, resolver, said } = targetsOf("far.test:80", ["192.0.2.1", "192.0.2.2"]);
  const refreshing = targets.refresh();
  assert.deepEqual(hostsOf(targets), ["192.0.2.1", "192.0.2.2"]);
  await resolver.fails();
  await refreshing;
  assert.deepEqual(hostsOf(targets), ["192.0.2.1", "192.0.2.2"]);
  assert.deepEqual(said, ["no such name"]);
});

test("an outage and its end are reported once, and the next one again", async () => {
  const { targets, resolver, said } = targetsOf("far.test:80", ["192.0.2.1"]);
  const outcomes = ["fails", "fails", "fails", "works", "fails"] as const;
  for (const outcome of outcomes) {
    const refreshing = targets.refresh();
    if (outcome === "fails") await resolver.fails();
    else await resolver.gives("192.0.2.1");
    await refreshing;
  }
  assert.deepEqual(said, ["no such name", "far.test:80 again", "no such name"]);
});

test("different addresses are reported, the same ones in another order are not", async () => {
  const { targets, resolver, said } = targetsOf("far.test:80", ["192.0.2.1", "192.0.2.2"]);
  for (const hosts of [
    ["192.0.2.2", "192.0.2.1"],
    ["192.0.2.2", "192.0.2.3"],
    ["192.0.2.3", "192.0.2.2"],
    ["192.0.2.3"],
  ]) {
    const refreshing = targets.refresh();
    await resolver.gives(...hosts);
    await refreshing;
  }
  assert.deepEqual(said, ["far.test:80 is [192.0.2.2]:80 [192.0.2.3]:80", "far.test:80 is [192.0.2.3]:80"]);
  assert.deepEqual(hostsOf(targets), ["192.0.2.3"]);
});

test("any answers of name servers, in any order: the last good one counts, and each change is reported once", async () => {
  const hosts = fc.uniqueArray(fc.constantFrom("192.0.2.1", "192.0.2.2", "192.0.2.3"), { minLength: 1 });
  const answers = fc.array(fc.oneof(hosts, fc.constant("fails" as const), fc.constant("asked again" as const)));
  await fc.assert(
    fc.asyncProperty(hosts, answers, async (first, all) => {
      const { targets, resolver, said } = targetsOf("far.example:80", first);
      let [current, isFailing, asked]: [readonly string[], boolean, number] = [first, false, 0];
      const expected: string[] = [];
      for (const answer of all) {
        const refreshed = targets.refresh();
        asked += 1;
        if (answer === "asked again") {
          await targets.refresh();
          assert.equal(resolver.asked.length, asked, "one lookup at a time");
          await resolver.gives(...current);
          if (isFailing) expected.push("far.example:80 again");
          isFailing = false;
        } else if (answer === "fails") {
          if (!isFailing) expected.push("no such name");
          isFailing = true;
          await resolver.fails();
        } else {
          await resolver.gives(...answer);
          if (isFailing) expected.push("far.example:80 again");
          isFailing = false;
          if ([...answer].sort().join() !== [...current].sort().join()) {
            current = answer;
            expected.push(`far.example:80 is ${answer.map((host) => `[${host}]:80`).join(" ")}`);
          }
        }
        await refreshed;
        assert.deepEqual([hostsOf(targets), said], [current, expected]);
      }
    }),
  );
});
