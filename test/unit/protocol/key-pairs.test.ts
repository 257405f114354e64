// Key pairs generated in advance: the requested number, each for one handshake; failures do no lasting harm.

import assert from "node:assert/strict";
import { test } from "node:test";
import type { Clock } from "#dist/clock.js";
import type { KeyPair } from "#dist/native/native.js";
import { KeyPairStock, MAX_AGE_MS } from "#dist/protocol/key-pairs.js";
import { runModule } from "../support/children.js";
import { rejectsSpipedError } from "../support/errors.js";
import { keyedClient, sharedKeyOf, someNonces } from "../support/handshakes.js";
import { eventLoopTurns } from "../support/sink.js";

/** A generator that the test controls: each pair is generated when the test says so. */
class Generator {
  readonly made: KeyPair[] = [];
  readonly wiped: KeyPair[] = [];
  readonly #asked: Array<{ resolve(pair: KeyPair): void; reject(error: Error): void }> = [];

  readonly generate = (): Promise<KeyPair> =>
    new Promise((resolve, reject) => {
      this.#asked.push({ resolve, reject });
    });

  /** Pairs that are being generated. */
  get running(): number {
    return this.#asked.length;
  }

  /** Completes the oldest request. */
  async makes(): Promise<void> {
    const pair: KeyPair = { destroy: () => this.wiped.push(pair) };
    this.made.push(pair);
    const asked = this.#asked.shift();
    assert.ok(asked !== undefined, "nobody has asked");
    asked.resolve(pair);
    await eventLoopTurns(1);
  }

  async fails(): Promise<void> {
    const asked = this.#asked.shift();
    assert.ok(asked !== undefined, "nobody has asked");
    asked.reject(Object.assign(new Error("no entropy"), { code: "SPIPED_RANDOM" }));
    await eventLoopTurns(1);
  }
}

/** A clock that the test controls. */
class TestClock implements Clock {
  #nowMs = 1_000;
  #timers: Array<{ readonly atMs: number; action(): void }> = [];
  /** Timers that have ever been set. */
  set = 0;

  readonly now = (): number => this.#nowMs;

  readonly later = (action: () => void, delayMs: number): (() => void) => {
    const timer = { atMs: this.#nowMs + delayMs, action };
    this.#timers.push(timer);
    this.set += 1;
    return () => {
      this.#timers = this.#timers.filter((other) => other !== timer);
    };
  };

  /** Pending timers. */
  get timers(): number {
    return this.#timers.length;
  }

  /** Lets time go by. @param late - The timers come too late, as in a process that was held up. */
  pass(ms: number, late = false): void {
    this.#nowMs += ms;
    if (late) return;
    for (;;) {
      const due = this.#timers.find(({ atMs }) => atMs <= this.#nowMs);
      if (due === undefined) return;
      this.#timers = this.#timers.filter((other) => other !== due);
      due.action();
    }
  }
}

function stockOf(generator: Generator): KeyPairStock {
  return new KeyPairStock(generator.generate);
}

/** A full stock with `count` pairs. */
async function filled(generator: Generator, count: number, clock = new TestClock()): Promise<KeyPairStock> {
  const stock = stockOf(generator);
  stock.keep(count, clock);
  for (let made = 0; made < count; made += 1) await generator.makes();
  assert.equal(stock.ready, count);
  return stock;
}

for (const count of [1, 2, 16]) {
  test(`a stock of ${count} is filled one pair at a time, and no further`, async () => {
    const generator = new Generator();
    const stock = stockOf(generator);
    stock.keep(count, new TestClock());
    for (let ready = 0; ready < count; ready += 1) {
      assert.deepEqual([stock.ready, generator.running], [ready, 1]);
      await generator.makes();
    }
    assert.deepEqual([stock.ready, generator.running], [count, 0]);
  });
}

test("without a request, no pairs are generated", () => {
  const generator = new Generator();
  assert.equal(stockOf(generator).ready, 0);
  assert.equal(generator.running, 0);
});

test("of several requested counts, the highest applies", async () => {
  const generator = new Generator();
  const stock = await filled(generator, 2);
  stock.keep(1, new TestClock());
  assert.equal(generator.running, 0);
  stock.keep(3, new TestClock());
  await generator.makes();
  assert.deepEqual([stock.ready, generator.running], [3, 0]);
});

test("each pair is taken once, and is then replaced", async () => {
  const generator = new Generator();
  const stock = await filled(generator, 3);
  const taken = new Set<KeyPair>();
  for (let count = 1; count <= 10; count += 1) {
    taken.add(await stock.take());
    assert.deepEqual([taken.size, stock.ready, generator.running], [count, 2, 1]);
    await generator.makes();
    assert.deepEqual([stock.ready, generator.running], [3, 0]);
  }
});

test("the oldest pair is used first", async () => {
  const generator = new Generator();
  const stock = await filled(generator, 3);
  const taken = [await stock.take(), await stock.take(), await stock.take()];
  assert.deepEqual(taken, generator.made.slice(0, 3));
});

test("expired pairs are wiped, a whole burst at once, and replaced one at a time", async () => {
  const generator = new Generator();
  const clock = new TestClock();
  const stock = stockOf(generator);
  stock.keep(4, clock);
  for (let count = 0; count < 4; count += 1) {
    await generator.makes();
    clock.pass(10);
  }
  const burst = [...generator.made];
  clock.pass(MAX_AGE_MS - 41);
  assert.deepEqual([stock.ready, generator.running, clock.timers], [4, 0, 1]);
  clock.pass(1);
  assert.deepEqual(generator.wiped, burst);
  for (let ready = 0; ready < 4; ready += 1) {
    assert.deepEqual([stock.ready, generator.running], [ready, 1]);
    await generator.makes();
  }
  assert.deepEqual([stock.ready, generator.running, clock.timers], [4, 0, 1]);
  assert.equal(await stock.take(), generator.made[4]);
});

test("of pairs of different ages, only the expired ones are replaced", async () => {
  const generator = new Generator();
  const clock = new TestClock();
  const stock = await filled(generator, 2, clock);
  clock.pass(MAX_AGE_MS / 2);
  await stock.take();
  await generator.makes();
  clock.pass(MAX_AGE_MS / 2);
  assert.deepEqual(generator.wiped, [generator.made[1]]);
  assert.equal(stock.ready, 1);
  clock.pass(MAX_AGE_MS / 2);
  assert.deepEqual(generator.wiped, [generator.made[1], generator.made[2]]);
});

test("a busy stock does not set a timer for each pair, but still replaces expired ones in time", async () => {
  const generator = new Generator();
  const clock = new TestClock();
  const stock = await filled(generator, 2, clock);
  const { set } = clock;
  for (let times = 0; times < 100; times += 1) {
    clock.pass(7);
    await stock.take();
    await generator.makes();
  }
  assert.deepEqual([clock.set - set, clock.timers], [0, 1]);
  // The last two, of which the timer knows nothing yet.
  const last = generator.made.slice(-2);
  clock.pass(MAX_AGE_MS - 8);
  assert.deepEqual([generator.wiped, clock.set - set, clock.timers], [[], 1, 1]);
  clock.pass(1);
  assert.deepEqual([generator.wiped, generator.running], [last, 1]);
});

test("an expired pair is never handed out, however late the timers are", async () => {
  const generator = new Generator();
  const clock = new TestClock();
  const stock = await filled(generator, 2, clock);
  clock.pass(MAX_AGE_MS, true);
  const taking = stock.take();
  assert.deepEqual(generator.wiped, generator.made);
  await generator.makes();
  assert.equal(await taking, generator.made[2]);
});

test("a failure to replace expired pairs is not retried in a loop", async () => {
  const generator = new Generator();
  const clock = new TestClock();
  const stock = await filled(generator, 2, clock);
  clock.pass(MAX_AGE_MS);
  await generator.fails();
  assert.deepEqual([stock.ready, generator.running, clock.timers], [0, 0, 0]);
});

test("pairs that are no longer requested are wiped, including the one being generated", async () => {
  const generator = new Generator();
  const clock = new TestClock();
  const stock = stockOf(generator);
  const release = stock.keep(3, clock);
  await generator.makes();
  await generator.makes();
  release();
  release();
  assert.deepEqual(generator.wiped, generator.made);
  assert.deepEqual([stock.ready, clock.timers], [0, 0]);
  await generator.makes();
  assert.deepEqual(generator.wiped, generator.made);
  assert.deepEqual([stock.ready, generator.running, clock.timers], [0, 0, 0]);
});

test("pairs are kept until the last request ends", async () => {
  const generator = new Generator();
  const stock = stockOf(generator);
  const [releaseTwo, releaseOne] = [stock.keep(2, new TestClock()), stock.keep(1, new TestClock())];
  await generator.makes();
  await generator.makes();
  releaseTwo();
  assert.deepEqual([stock.ready, generator.wiped], [1, [generator.made[0]]]);
  releaseOne();
  assert.equal(stock.ready, 0);
  stock.keep(1, new TestClock());
  await generator.makes();
  assert.equal(stock.ready, 1);
});

test("a pair can be taken after all requests have ended", async () => {
  const generator = new Generator();
  const stock = stockOf(generator);
  stock.keep(1, new TestClock())();
  await generator.makes();
  const taking = stock.take();
  await generator.makes();
  assert.equal(await taking, generator.made[1]);
  assert.deepEqual([stock.ready, generator.running], [0, 0]);
});

test("a stock does not keep the process alive", () => {
  const { status, signal, stderr } = runModule(`
    const { keyPairs } = await import(dist("protocol/key-pairs.js"));
    const { systemClock } = await import(dist("clock.js"));
    keyPairs.keep(2, systemClock);
    // By now there are some, and a timer for when they get old.
    await keyPairs.take();
  `);
  assert.deepEqual([status, signal, stderr.toString()], [0, null, ""]);
});

test("several pairs taken at once are replaced one at a time", async () => {
  const generator = new Generator();
  const stock = await filled(generator, 3);
  const taken = await Promise.all([stock.take(), stock.take(), stock.take()]);
  assert.equal(new Set(taken).size, 3);
  for (let ready = 0; ready < 3; ready += 1) {
    assert.deepEqual([stock.ready, generator.running], [ready, 1]);
    await generator.makes();
  }
  assert.equal(stock.ready, 3);
});

test("if no pair is ready, each taker gets its own, without waiting for others", async () => {
  const generator = new Generator();
  const stock = stockOf(generator);
  const taking = [stock.take(), stock.take()];
  assert.equal(generator.running, 2);
  await generator.makes();
  await generator.makes();
  assert.deepEqual(await Promise.all(taking), generator.made);
  assert.deepEqual([stock.ready, generator.running], [0, 0]);
});

test("a taker does not wait for the pair that is being generated for the stock", async () => {
  const generator = new Generator();
  const stock = stockOf(generator);
  stock.keep(1, new TestClock());
  const taking = stock.take();
  assert.equal(generator.running, 2);
  await generator.makes();
  await generator.makes();
  assert.deepEqual([stock.ready, generator.running], [1, 0]);
  assert.notEqual(await taking, await stock.take());
});

test("a failure to generate a pair is reported to its taker, and the next taker gets one", async () => {
  const generator = new Generator();
  const stock = stockOf(generator);
  const failing = rejectsSpipedError(stock.take(), "SPIPED_RANDOM", /^the system provides no random bytes$/);
  await generator.fails();
  await failing;
  const taking = stock.take();
  await generator.makes();
  assert.equal(await taking, generator.made[0]);
});

test("a failure to fill the stock is not retried in a loop, but with the next pair taken", async () => {
  const generator = new Generator();
  const stock = await filled(generator, 2);
  await stock.take();
  await generator.fails();
  assert.deepEqual([stock.ready, generator.running], [1, 0]);
  await stock.take();
  await generator.makes();
  await generator.makes();
  assert.deepEqual([stock.ready, generator.running], [2, 0]);
});

test("an empty stock fills up again once generating works", async () => {
  const generator = new Generator();
  const stock = stockOf(generator);
  stock.keep(2, new TestClock());
  await generator.fails();
  assert.deepEqual([stock.ready, generator.running], [0, 0]);
  const taking = stock.take();
  await generator.makes();
  await taking;
  assert.equal(generator.running, 1);
  await generator.makes();
  await generator.makes();
  assert.deepEqual([stock.ready, generator.running], [2, 0]);
});

test("by default, the addon generates the pairs, each with a different public value", async () => {
  const stock = new KeyPairStock();
  const key = sharedKeyOf(Uint8Array.of(1));
  const values = new Set<string>();
  for (let count = 0; count < 3; count += 1) {
    const client = keyedClient(key, "allow", someNonces);
    values.add(Buffer.from(client.macedPublic(await stock.take())).toString("hex"));
    client.destroy();
  }
  assert.equal(values.size, 3);
});
