// Memory for outgoing data.

import assert from "node:assert/strict";
import { test } from "node:test";
import { type Chunk, ChunkBudget, ChunkPool } from "#dist/tunnel/chunk-pool.js";
import { cleartextMemory, packetMemory } from "#dist/tunnel/memory.js";

const tiny = 1_060;
const small = 4 * 1_060;
const medium = 16 * 1_060;
const large = 68 * 1_024;
const newPool = () => new ChunkPool(new ChunkBudget(1e9));

for (const length of [
  0,
  1,
  tiny,
  tiny + 1,
  small - 1,
  small,
  small + 1,
  medium,
  medium + 1,
  65_536,
  large - 1,
  large,
  large + 1,
  10 * large,
]) {
  test(`a chunk for ${length} bytes has at least that size, and is zeroed at first`, () => {
    const { memory } = newPool().take(length);
    assert.ok(memory.length >= length);
    assert.ok(memory.every((byte) => byte === 0));
  });
}

test("a chunk for the largest read, sealed or opened, has a size that is pooled", () => {
  const pool = newPool();
  for (const length of [Math.ceil(65_536 / 1_024) * 1_060, Math.floor((65_536 + 1_059) / 1_060) * 1_024]) {
    const chunk = pool.take(length);
    chunk.written();
    assert.equal(pool.take(length), chunk);
  }
});

for (const length of [tiny, small, medium, large]) {
  test(`a written chunk of ${length} bytes returns to the pool, an unwritten one does not`, () => {
    const pool = newPool();
    const first = pool.take(length);
    const second = pool.take(length);
    assert.notEqual(first, second);
    assert.notEqual(first.memory.buffer, second.memory.buffer);
    first.written();
    assert.equal(pool.take(length), first);
    assert.notEqual(pool.take(length), second);
  });
}

test("a chunk is no larger than necessary, and not reused for another size", () => {
  const pool = newPool();
  for (const length of [large, medium, small, tiny]) pool.take(length).written();
  for (const length of [tiny, small, medium, large]) {
    const chunks = [pool.take(length), pool.take(length)];
    assert.deepEqual(
      chunks.map(({ memory }) => memory.length),
      [length, length],
    );
  }
});

test("chunks count toward the budget until returned, in all sizes and pools", () => {
  const budget = new ChunkBudget(1e9);
  const [one, other] = [new ChunkPool(budget), new ChunkPool(budget)];
  const chunks = [one.take(1), other.take(medium), one.take(large), other.take(10 * large)];
  assert.equal(budget.usedBytes, tiny + medium + large + 10 * large);
  for (const chunk of chunks) chunk.written();
  assert.equal(budget.usedBytes, 0);
  one.take(large);
  assert.equal(budget.usedBytes, large, "a chunk that is used again counts again");
});

test("the owner is told once that its chunk is written, and not by the chunk's next use", () => {
  const pool = newPool();
  const chunk = pool.take(1);
  const released: Chunk[] = [];
  chunk.lend({ released: (one) => released.push(one) });
  chunk.written();
  assert.deepEqual(released, [chunk]);
  const again = pool.take(1);
  assert.equal(again, chunk);
  again.written();
  assert.equal(released.length, 1);
});

test("a chunk can be taken again in the callback of its write", () => {
  const pool = newPool();
  const chunk = pool.take(1);
  let next: Chunk | undefined;
  chunk.lend({
    released: () => {
      next = pool.take(1);
    },
  });
  chunk.written();
  assert.equal(next, chunk);
});

test("the pool keeps at most about a megabyte of each size", () => {
  const pool = newPool();
  const taken = Array.from({ length: 200 }, () => pool.take(large));
  for (const chunk of taken) chunk.written();
  const known = new Set(taken);
  let kept = 0;
  while (known.has(pool.take(large))) kept += 1;
  assert.ok(kept > 0);
  assert.ok(kept * large <= 1.1 * 1_024 * 1_024, `${kept} chunks are kept`);
});

test("chunks larger than all sizes are not pooled", () => {
  const pool = newPool();
  const chunk = pool.take(large + 1);
  chunk.written();
  assert.notEqual(pool.take(large + 1), chunk);
});

test("cleartext and packets never share memory, for reads or writes", () => {
  assert.notEqual(cleartextMemory.readBuffer.buffer, packetMemory.readBuffer.buffer);
  const cleartext = new Set<Chunk>();
  const packets = new Set<Chunk>();
  for (let round = 0; round < 20; round += 1) {
    for (const length of [1, small, medium, large]) {
      const [one, other] = [cleartextMemory.chunks.take(length), packetMemory.chunks.take(length)];
      cleartext.add(one);
      packets.add(other);
      if (round % 3 > 0) one.written();
      if (round % 2 > 0) other.written();
    }
  }
  const memories = (chunks: Set<Chunk>) => new Set([...chunks].map(({ memory }) => memory.buffer));
  for (const memory of memories(cleartext)) assert.ok(!memories(packets).has(memory));
});
