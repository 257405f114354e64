// Key pairs made ahead: as many as were asked for, each for one handshake, and never a reason to stop.

import assert from "node:assert/strict";
import { test } from "node:test";
import type { KeyPair } from "#dist/native/native.js";
import { KeyPairStock } from "#dist/protocol/key-pairs.js";
import { rejectsSpipedError } from "../support/errors.js";
import { keyedClient, sharedKeyOf, someNonces } from "../support/handshakes.js";
import { turns } from "../support/sink.js";

/** A generator in the test's hand: each pair is made when the test says so. */
class Generator {
  readonly made: KeyPair[] = [];
  readonly #asked: Array<{ resolve(pair: KeyPair): void; reject(error: Error): void }> = [];

  readonly generate = (): Promise<KeyPair> =>
    new Promise((resolve, reject) => {
      this.#asked.push({ resolve, reject });
    });

  /** Pairs that are being made. */
  get running(): number {
    return this.#asked.length;
  }

  /** Makes a pair for whoever asked first. */
  async makes(): Promise<void> {
    const pair: KeyPair = { destroy: () => undefined };
    this.made.push(pair);
    const asked = this.#asked.shift();
    assert.ok(asked !== undefined, "nobody has asked");
    asked.resolve(pair);
    await turns(1);
  }

  async fails(): Promise<void> {
    const asked = this.#asked.shift();
    assert.ok(asked !== undefined, "nobody has asked");
    asked.reject(Object.assign(new Error("no entropy"), { code: "SPIPED_RANDOM" }));
    await turns(1);
  }
}

function stockOf(generator: Generator): KeyPairStock {
  return new KeyPairStock(generator.generate);
}

/** A stock that has `count` pairs ready and wants no more. */
async function filled(generator: Generator, count: number): Promise<KeyPairStock> {
  const stock = stockOf(generator);
  stock.keep(count);
  for (let made = 0; made < count; made += 1) await generator.makes();
  assert.equal(stock.ready, count);
  return stock;
}

for (const count of [1, 2, 16]) {
  test(`a stock of ${count} is made one at a time, and no further`, async () => {
    const generator = new Generator();
    const stock = stockOf(generator);
    stock.keep(count);
    for (let ready = 0; ready < count; ready += 1) {
      assert.deepEqual([stock.ready, generator.running], [ready, 1]);
      await generator.makes();
    }
    assert.deepEqual([stock.ready, generator.running], [count, 0]);
  });
}

test("a stock that nobody has asked for is not made", () => {
  const generator = new Generator();
  assert.equal(stockOf(generator).ready, 0);
  assert.equal(generator.running, 0);
});

test("of several numbers to keep, the highest counts", async () => {
  const generator = new Generator();
  const stock = await filled(generator, 2);
  stock.keep(1);
  assert.equal(generator.running, 0);
  stock.keep(3);
  await generator.makes();
  assert.deepEqual([stock.ready, generator.running], [3, 0]);
});

test("each pair is given once, and what was taken is made anew", async () => {
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

test("several taken at once are made anew one at a time", async () => {
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

test("where none is ready, each taker has one made for it, and waits for no other", async () => {
  const generator = new Generator();
  const stock = stockOf(generator);
  const taking = [stock.take(), stock.take()];
  assert.equal(generator.running, 2);
  await generator.makes();
  await generator.makes();
  assert.deepEqual(await Promise.all(taking), generator.made);
  assert.deepEqual([stock.ready, generator.running], [0, 0]);
});

test("a taker does not wait for the pair that is being made for the stock", async () => {
  const generator = new Generator();
  const stock = stockOf(generator);
  stock.keep(1);
  const taking = stock.take();
  assert.equal(generator.running, 2);
  await generator.makes();
  await generator.makes();
  assert.deepEqual([stock.ready, generator.running], [1, 0]);
  assert.notEqual(await taking, await stock.take());
});

test("a taker is told that no pair can be made, and the next one has one made", async () => {
  const generator = new Generator();
  const stock = stockOf(generator);
  const failing = rejectsSpipedError(stock.take(), "SPIPED_RANDOM", /^the system gives no random bytes$/);
  await generator.fails();
  await failing;
  const taking = stock.take();
  await generator.makes();
  assert.equal(await taking, generator.made[0]);
});

test("a stock that could not be made is not tried again and again, but with the next that is taken", async () => {
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

test("a stock that has run out while none could be made fills up again when one can", async () => {
  const generator = new Generator();
  const stock = stockOf(generator);
  stock.keep(2);
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

test("without a generator of the test's, pairs are the addon's, and each makes another public value", async () => {
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
