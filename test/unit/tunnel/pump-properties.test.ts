// Both pumps of a connection, end to end, with any payloads in any pieces: data arrives unchanged, and nothing wrong
// comes out of a packet stream that was tampered with.

import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { type EndReason, endReasonOf, SpipedError } from "#dist/errors.js";
import type { Framing } from "#dist/protocol/packets.js";
import { ChunkBudget, ChunkPool } from "#dist/tunnel/chunk-pool.js";
import { CoalescingTimer } from "#dist/tunnel/coalescing.js";
import { FairScheduler } from "#dist/tunnel/fairness.js";
import { Pump } from "#dist/tunnel/pump.js";
import { limits } from "../../support/cleanup.js";
import { sameBytes } from "../support/bytes.js";
import { framingPair, sealedBytes } from "../support/framings.js";
import { ManualReader, ManualWritable } from "../support/manual-streams.js";
import { eventLoopTurns } from "../support/sink.js";

const runs = { numRuns: 60 };
const PACKET = 1_060;
/** The largest memory of one read, and one more read that was pending. */
const MOST_HELD = 2 * 68 * 1_024;

interface Moved {
  readonly out: Uint8Array;
  readonly end: "open" | "closed" | EndReason;
}

/**
 * Gives a pump reads of these lengths, repeatedly, as long as it accepts them; its receiver is full or not as `isFull`
 * says, repeatedly.
 */
async function pumped(
  framing: Framing,
  input: Uint8Array,
  lengths: readonly number[],
  isFull: readonly boolean[],
): Promise<Moved> {
  const [reader, writable] = [new ManualReader(), new ManualWritable()];
  writable.on("error", () => undefined);
  const budget = new ChunkBudget(1e9);
  let end: Moved["end"] = "open";
  const pump = new Pump({
    from: reader,
    framing,
    chunks: new ChunkPool(budget),
    scheduler: new FairScheduler(),
    to: writable,
    timer: new CoalescingTimer(),
    coalescing: false,
    arrived: () => undefined,
    ended: () => {
      assert.equal(end, "open", "it ends once");
      end = "closed";
    },
    failed: (error) => {
      assert.ok(end === "open" && error instanceof SpipedError, "it ends once");
      end = endReasonOf(error);
    },
  });
  pump.start();
  let [at, reads] = [0, 0];
  while (at < input.length && end === "open") {
    const length = Math.min(lengths[reads % lengths.length] ?? 1, pump.mostBytes, input.length - at);
    writable.holds = isFull[reads % isFull.length] ?? false;
    const before = reader.resumes;
    const goesOn = reader.give(input.subarray(at, at + length));
    assert.ok(budget.usedBytes <= MOST_HELD, `${budget.usedBytes} bytes are held`);
    at += length;
    reads += 1;
    for (let waits = 0; !goesOn && reader.resumes === before && end === "open"; waits += 1) {
      assert.ok(waits < 1_000, "it never reads on");
      await writable.release();
    }
  }
  writable.holds = false;
  reader.end();
  while (writable.pendingWrites > 0) await writable.release();
  await eventLoopTurns();
  pump.stop();
  assert.equal(budget.usedBytes, 0, "nothing is held behind the end");
  return { out: writable.bytes, end };
}

const payload = fc.uint8Array({ minLength: 0, maxLength: 9_000 });
const lengths = fc.array(
  fc.oneof(fc.integer({ min: 1, max: 3 }), fc.integer({ min: 1, max: 70_000 }), fc.constantFrom(1_059, 1_060, 1_061)),
  {
    minLength: 1,
    maxLength: 8,
  },
);
const fullness = fc.array(fc.boolean(), { minLength: 1, maxLength: 5 });

test("any payload in any pieces on both sides arrives unchanged, with its end", limits, async () => {
  const property = fc.asyncProperty(
    payload,
    lengths,
    lengths,
    fullness,
    fullness,
    async (bytes, near, far, one, other) => {
      const { sealer, opener } = framingPair();
      const packets = await pumped(sealer, bytes, near, one);
      assert.deepEqual([packets.end, packets.out.length % PACKET], ["closed", 0]);
      const plain = await pumped(opener, packets.out, far, other);
      sameBytes(plain.out, bytes);
      assert.equal(plain.end, "closed");
    },
  );
  await fc.assert(property, runs);
});

/** Tampering with a stream of packets. */
const tampering = fc.oneof(
  fc.record({ kind: fc.constant("change"), at: fc.nat(), bit: fc.integer({ min: 0, max: 7 }) }),
  fc.record({ kind: fc.constantFrom("drop", "repeat", "swap"), at: fc.nat(), bit: fc.constant(0) }),
  fc.record({ kind: fc.constantFrom("cut", "insert"), at: fc.nat(), bit: fc.constant(1) }),
);

test(
  "nothing wrong is delivered from packets that were changed, dropped, repeated, swapped or cut",
  limits,
  async () => {
    const sealed = fc.uint8Array({ minLength: 3 * 1_024, maxLength: 6_000 });
    const property = fc.asyncProperty(
      sealed,
      tampering,
      lengths,
      fullness,
      async (bytes, { kind, at, bit }, reads, full) => {
        const packets = Buffer.from(sealedBytes(bytes));
        const count = packets.length / PACKET;
        const packet = (index: number) => packets.subarray(index * PACKET, (index + 1) * PACKET);
        const all = Array.from({ length: count }, (_, index) => packet(index));
        const which = at % count;
        let right = which;
        let expected: Moved["end"] = "packet-rejected";
        switch (kind) {
          case "change":
            all[which] = Buffer.from(packet(which));
            all[which]?.writeUInt8(packet(which).readUInt8(at % PACKET) ^ (1 << bit), at % PACKET);
            break;
          case "drop":
            all.splice(which, 1);
            // A missing last packet cannot be detected; nothing says that there was one.
            if (which === count - 1) expected = "closed";
            break;
          case "repeat":
            all.splice(which, 0, packet(which));
            right += 1;
            break;
          case "swap":
            all.splice(
              which === count - 1 ? which - 1 : which,
              2,
              ...all
                .slice(which === count - 1 ? which - 1 : which)
                .slice(0, 2)
                .reverse(),
            );
            right = which === count - 1 ? which - 1 : which;
            break;
          case "insert":
            all[which] = Buffer.concat([Buffer.of(bit), packet(which)]);
            // One extra byte shifts all that follows; it is noticed when a packet is complete.
            break;
          default:
            all[which] = packet(which).subarray(0, 1 + (at % (PACKET - 1)));
            all.length = which + 1;
            expected = "truncated";
        }
        const { opener } = framingPair();
        const { out, end } = await pumped(opener, Buffer.concat(all), reads, full);
        // Correct packets before it are delivered, if they came in separate reads, and nothing else.
        sameBytes(out, bytes.subarray(0, out.length));
        assert.ok(out.length <= right * 1_024, `${out.length} bytes of ${right} packets`);
        assert.equal(end, expected);
        if (expected !== "packet-rejected") assert.equal(out.length, Math.min(right * 1_024, bytes.length));
      },
    );
    await fc.assert(property, runs);
  },
);
