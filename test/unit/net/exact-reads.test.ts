// The exact reads at the start of a stream.

import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { ExactReads } from "#dist/net/exact-reads.js";
import { sameBytes } from "../support/bytes.js";
import { rejectsEarlyEnd } from "../support/errors.js";

function arrive(reads: ExactReads, bytes: Uint8Array): void {
  reads.space.set(bytes);
  reads.arrived(bytes.length);
}

test("bytes that arrive in any pieces are read in the requested lengths", async () => {
  const lengths = fc.array(fc.integer({ min: 1, max: 50 }), { minLength: 1, maxLength: 8 });
  await fc.assert(
    fc.asyncProperty(lengths, fc.array(fc.integer({ min: 1, max: 60 }), { minLength: 1 }), async (asked, pieces) => {
      const total = asked.reduce((sum, length) => sum + length, 0);
      const bytes = Uint8Array.from({ length: total }, (_, index) => index);
      const reads = new ExactReads(total);
      const read = (async () => {
        const all: Uint8Array[] = [];
        for (const length of asked) all.push(await reads.read(length));
        return all;
      })();
      for (let at = 0, turn = 0; at < total; turn += 1) {
        const length = Math.min(pieces[turn % pieces.length] ?? 1, reads.missing);
        arrive(reads, bytes.subarray(at, at + length));
        at += length;
      }
      assert.equal(reads.missing, 0);
      const all = await read;
      assert.deepEqual(
        all.map(({ length }) => length),
        asked,
      );
      sameBytes(Buffer.concat(all), bytes);
    }),
  );
});

test("the space offered is exactly as long as what is missing", () => {
  const reads = new ExactReads(320);
  for (let left = 320; left > 0; left -= 40) {
    assert.equal(reads.missing, left);
    assert.equal(reads.space.length, left);
    arrive(reads, new Uint8Array(40));
  }
  assert.equal(reads.space.length, 0);
});

test("the result of a read does not change when more bytes arrive", async () => {
  const reads = new ExactReads(4);
  arrive(reads, Uint8Array.of(1, 2));
  const first = await reads.read(2);
  arrive(reads, Uint8Array.of(3, 4));
  assert.deepEqual(Array.from(first), [1, 2]);
  assert.deepEqual(Array.from(await reads.read(2)), [3, 4]);
});

test("bytes that arrived before the end can still be read, and the next read reports the end", async () => {
  const reads = new ExactReads(320);
  arrive(reads, new Uint8Array(40));
  reads.ended("orderly");
  assert.equal((await reads.read(32)).length, 32);
  await rejectsEarlyEnd(reads.read(288), "orderly", 40, 320);
});

test("a pending read fails at an orderly end and at a close", async () => {
  for (const how of ["orderly", "closed"] as const) {
    const reads = new ExactReads(32);
    const waiting = rejectsEarlyEnd(reads.read(32), how, 0, 32);
    reads.ended(how);
    await waiting;
  }
});

test("after an orderly end, a close changes nothing", async () => {
  const reads = new ExactReads(32);
  reads.ended("orderly");
  reads.ended("closed");
  await rejectsEarlyEnd(reads.read(32), "orderly", 0, 32);
});

test("nothing is missing if there are no exact reads", () => {
  const reads = new ExactReads(0);
  assert.equal(reads.missing, 0);
  assert.equal(reads.space.length, 0);
});
