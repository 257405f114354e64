// One direction of a connection, with a reader and a writer controlled by the test.

import assert from "node:assert/strict";
import { test } from "node:test";
import { SpipedError } from "#dist/errors.js";
import type { Framing } from "#dist/protocol/packets.js";
import { ChunkBudget, ChunkPool } from "#dist/tunnel/chunk-pool.js";
import { CoalescingTimer } from "#dist/tunnel/coalescing.js";
import { FairScheduler } from "#dist/tunnel/fairness.js";
import { Pump } from "#dist/tunnel/pump.js";
import { randomData } from "../../support/random-data.js";
import { boundarySizes, flipped, piecesOf, sameBytes, splits } from "../support/bytes.js";
import { CopyingFraming, framingPair, sealedBytes } from "../support/framings.js";
import { ManualReader, ManualWritable } from "../support/manual-streams.js";
import { eventLoopTurns } from "../support/sink.js";

interface Pumped {
  readonly reader: ManualReader;
  readonly writable: ManualWritable;
  readonly pump: Pump;
  /** What the pump reported, in order. */
  readonly told: Array<"ended" | SpipedError>;
}

function pumping(framing: Framing): Pumped {
  const reader = new ManualReader();
  const writable = new ManualWritable();
  writable.on("error", () => undefined);
  const told: Array<"ended" | SpipedError> = [];
  const pump = new Pump({
    from: reader,
    framing,
    chunks: new ChunkPool(new ChunkBudget(1e9)),
    scheduler: new FairScheduler(),
    to: writable,
    timer: new CoalescingTimer(),
    coalescing: false,
    arrived: () => undefined,
    ended: () => told.push("ended"),
    failed: (error) => told.push(error),
  });
  pump.start();
  return { reader, writable, pump, told };
}

function codesOf(told: readonly ("ended" | SpipedError)[]): readonly string[] {
  return told.map((one) => (one instanceof SpipedError ? one.code : one));
}

for (const size of boundarySizes) {
  test(`seals, writes and ends ${size} bytes at once`, async () => {
    const plaintext = randomData("pump", size);
    const { reader, writable, pump, told } = pumping(framingPair().sealer);
    for (const read of piecesOf(plaintext, 65_536)) reader.give(read);
    reader.end();
    await eventLoopTurns();
    const reads = [...piecesOf(plaintext, 65_536)];
    assert.equal(pump.bytesIn, size);
    assert.equal(pump.bytesOut, writable.bytes.length);
    assert.equal(
      writable.bytes.length,
      reads.reduce((sum, { length }) => sum + Math.ceil(length / 1_024) * 1_060, 0),
    );
    assert.deepEqual(told, ["ended"]);
    assert.ok(pump.isEnded && writable.writableFinished);
    const opened = new Uint8Array(size + 1_024);
    const { opener } = framingPair();
    sameBytes(opened.subarray(0, opener.transform(writable.bytes, opened)), plaintext);
  });

  for (const split of splits) {
    test(`opens packets of ${size} bytes in order, read in pieces of ${split}`, async () => {
      const plaintext = randomData("pump", size);
      const { reader, writable, pump, told } = pumping(framingPair().opener);
      for (const read of piecesOf(sealedBytes(plaintext), split)) reader.give(read);
      reader.end();
      await eventLoopTurns();
      sameBytes(writable.bytes, plaintext);
      assert.equal(pump.bytesOut, size);
      assert.deepEqual(told, ["ended"]);
    });
  }
}

test("does not batch: each read is written before the next", () => {
  const { reader, writable } = pumping(framingPair().sealer);
  for (let count = 1; count <= 3; count += 1) {
    assert.equal(reader.give(Uint8Array.of(count)), true);
    assert.equal(writable.bytes.length, count * 1_060);
  }
});

test("an empty stream ends without a write", async () => {
  const { reader, writable, told } = pumping(framingPair().sealer);
  reader.end();
  await eventLoopTurns();
  assert.equal(writable.bytes.length, 0);
  assert.deepEqual(told, ["ended"]);
});

test("reading stops at the first read that the receiver has no room for, and resumes when it is written", async () => {
  const { reader, writable, told } = pumping(new CopyingFraming());
  const reads = Array.from({ length: 5 }, (_, index) => randomData(`read ${index}`, 1_000 + index));
  for (const [index, read] of reads.entries()) {
    writable.holds = true;
    assert.equal(reader.give(read), false);
    assert.deepEqual([reader.resumes, writable.pendingWrites], [index, 1]);
    await writable.release();
    assert.deepEqual([reader.resumes, writable.pendingWrites], [index + 1, 0]);
    writable.holds = false;
    assert.equal(reader.give(read), true);
  }
  sameBytes(writable.bytes, Buffer.concat(reads.flatMap((read) => [read, read])));
  assert.deepEqual(told, []);
});

test("a read that yields no output does not wait for a receiver that has room", () => {
  const { reader, writable } = pumping(framingPair().opener);
  writable.holds = true;
  const packet = sealedBytes(new Uint8Array(1_024));
  assert.equal(reader.give(packet.subarray(0, 500)), true);
  assert.equal(reader.give(packet.subarray(500)), false);
});

test("a read accepted while another one waits does not overwrite it", async () => {
  const { reader, writable } = pumping(new CopyingFraming());
  writable.holds = true;
  for (const byte of [1, 2, 3]) reader.give(new Uint8Array(1_000).fill(byte));
  while (writable.pendingWrites > 0) await writable.release();
  sameBytes(writable.bytes, Buffer.concat([1, 2, 3].map((byte) => new Uint8Array(1_000).fill(byte))));
});

test("the pump does not resume a reader that it has not stopped", async () => {
  const { reader } = pumping(new CopyingFraming());
  assert.equal(reader.give(new Uint8Array(100)), true);
  await eventLoopTurns();
  assert.equal(reader.resumes, 0);
});

test("the end is passed on after all bytes, and reported when the system has it", async () => {
  const { reader, writable, pump, told } = pumping(new CopyingFraming());
  writable.holds = true;
  reader.give(Uint8Array.of(1));
  reader.give(Uint8Array.of(2));
  reader.end();
  assert.equal(writable.isFinal, false);
  await writable.release();
  assert.equal(writable.isFinal, false);
  await writable.release();
  assert.equal(writable.isFinal, true);
  assert.deepEqual(told, []);
  assert.equal(pump.isEnded, false);
  await writable.release();
  assert.deepEqual(told, ["ended"]);
  assert.equal(pump.isEnded, true);
});

test("the end of a stopped reader is passed on too", async () => {
  const { reader, writable, told } = pumping(new CopyingFraming());
  writable.holds = true;
  let goesOn = true;
  while (goesOn) goesOn = reader.give(new Uint8Array(65_536));
  reader.end();
  while (writable.pendingWrites > 0) await writable.release();
  assert.deepEqual(told, ["ended"]);
  assert.equal(reader.resumes, 0, "there is nothing left to read");
});

test("the key is wiped when the direction ends", () => {
  const framing = new CopyingFraming();
  const { reader } = pumping(framing);
  reader.give(Uint8Array.of(1));
  assert.equal(framing.destroys, 0);
  reader.end();
  assert.ok(framing.destroys > 0);
});

for (const cut of [1, 1_059, 1_060 + 1, 2 * 1_060 - 1]) {
  test(`packets that end after ${cut} bytes are truncated, and never ended`, async () => {
    const { reader, writable, pump, told } = pumping(framingPair().opener);
    reader.give(sealedBytes(new Uint8Array(2_048)).subarray(0, cut));
    reader.end();
    await eventLoopTurns();
    assert.deepEqual(codesOf(told), ["SPIPED_TRUNCATED"]);
    assert.match(String(told[0]), new RegExp(`after ${cut % 1_060} of its bytes`));
    assert.equal(writable.bytes.length, Math.floor(cut / 1_060) * 1_024);
    assert.equal(writable.isFinal, false);
    assert.equal(pump.isEnded, false);
  });
}

test("a wrong packet fails once, writes nothing of its read, and stops the direction", async () => {
  const packets = sealedBytes(new Uint8Array(3_072).fill(1));
  const { reader, writable, pump, told } = pumping(framingPair().opener);
  assert.equal(reader.give(packets.subarray(0, 1_060)), true);
  assert.equal(reader.give(flipped(packets.subarray(1_060), 8 * 1_060)), false);
  assert.equal(reader.give(packets.subarray(1_060)), false);
  reader.end();
  await eventLoopTurns();
  assert.deepEqual(codesOf(told), ["SPIPED_PACKET_MAC"]);
  assert.equal(writable.bytes.length, 1_024);
  assert.equal(writable.isFinal, false);
  assert.equal(pump.isEnded, false);
});

test("any exception of a framing is reported as a SpipedError", () => {
  for (const [thrown, code] of [
    [new SpipedError("SPIPED_PACKET_NUMBERS_USED_UP", "none left"), "SPIPED_PACKET_NUMBERS_USED_UP"],
    [new RangeError("odd"), "SPIPED_INTERNAL"],
    ["odd", "SPIPED_INTERNAL"],
  ] as const) {
    const framing = new CopyingFraming();
    framing.failure = thrown;
    const { reader, told } = pumping(framing);
    assert.equal(reader.give(Uint8Array.of(1)), false);
    assert.deepEqual(codesOf(told), [code]);
    assert.ok(framing.destroys > 0);
  }
});

test("a stopped pump takes, writes and reports nothing more", async () => {
  const framing = new CopyingFraming();
  const { reader, writable, pump, told } = pumping(framing);
  reader.give(Uint8Array.of(1));
  pump.stop();
  assert.equal(reader.give(Uint8Array.of(2)), false);
  reader.end();
  await eventLoopTurns();
  assert.equal(writable.bytes.length, 1);
  assert.equal(writable.isFinal, false);
  assert.deepEqual(told, []);
  assert.ok(framing.destroys > 0);
});

test("a pump stopped while its end is being passed on does not report it", async () => {
  const { reader, writable, pump, told } = pumping(new CopyingFraming());
  writable.holds = true;
  reader.end();
  pump.stop();
  await writable.release();
  assert.deepEqual(told, []);
  assert.equal(pump.isEnded, false);
});

test("a pump stopped with buffered bytes does not resume its reader", async () => {
  const { reader, writable, pump } = pumping(new CopyingFraming());
  writable.holds = true;
  let goesOn = true;
  while (goesOn) goesOn = reader.give(new Uint8Array(65_536));
  pump.stop();
  while (writable.pendingWrites > 0) await writable.release();
  assert.equal(reader.resumes, 0);
});

test("bytes that arrive after the other side failed are ignored", async () => {
  const { reader, writable, pump, told } = pumping(new CopyingFraming());
  writable.holds = true;
  reader.give(new Uint8Array(100));
  await writable.release(new Error("broken pipe"));
  assert.ok(writable.destroyed);
  for (let times = 0; times < 20; times += 1) reader.give(new Uint8Array(65_536));
  await eventLoopTurns();
  assert.equal(writable.bytes.length, 0);
  assert.equal(pump.isEnded, false);
  assert.ok(!told.includes("ended"));
});

test("an end that could not be passed on is not reported as an end", async () => {
  const { reader, writable, pump, told } = pumping(new CopyingFraming());
  writable.holds = true;
  reader.give(new Uint8Array(100));
  reader.end();
  await writable.release(new Error("broken pipe"));
  await eventLoopTurns();
  assert.equal(pump.isEnded, false, "bytes and end are lost");
  assert.ok(!told.includes("ended"));
});

test("an end to a side that is closed already is not reported as an end", async () => {
  const { reader, writable, pump, told } = pumping(new CopyingFraming());
  writable.destroy();
  reader.end();
  await eventLoopTurns();
  assert.equal(pump.isEnded, false);
  assert.ok(!told.includes("ended"));
});

test("an end is passed on once", async () => {
  const { reader, told } = pumping(new CopyingFraming());
  reader.end();
  reader.end();
  assert.equal(reader.give(Uint8Array.of(1)), false);
  await eventLoopTurns();
  assert.deepEqual(told, ["ended"]);
});
