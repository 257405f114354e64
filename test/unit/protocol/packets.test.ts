// Sealer and opener as the pump uses them: one call for each read.

import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { SpipedError } from "#dist/errors.js";
import { addon } from "#dist/native/native.js";
import { PACKET_BYTES, PACKET_DATA_BYTES } from "#dist/protocol/constants.js";
import { Opener, Sealer } from "#dist/protocol/packets.js";
import { openPacket, sealPacket } from "../../support/reference-protocol.js";
import { boundarySizes, flipped, piecesOf, sameBytes, splits } from "../support/bytes.js";
import { throwsSpipedError } from "../support/errors.js";

const keys = { E: new Uint8Array(32).fill(3), H: new Uint8Array(32).fill(4) };
const newSealer = (): Sealer => new Sealer(addon.Sealer.fromKeys(keys.E, keys.H, 0n));
const newOpener = (): Opener => new Opener(addon.Opener.fromKeys(keys.E, keys.H, 0n));

for (const size of boundarySizes) {
  test(`a read of ${size} bytes becomes the fewest packets, all full except the last`, () => {
    const plaintext = patternOf(size);
    const sealed = sealAll(newSealer(), plaintext);
    assert.equal(sealed.length, Math.ceil(size / PACKET_DATA_BYTES) * PACKET_BYTES);
    const lengths = [...piecesOf(sealed, PACKET_BYTES)].map(
      (packet, number) => openPacket(keys, BigInt(number), packet).length,
    );
    assert.ok(lengths.slice(0, -1).every((length) => length === PACKET_DATA_BYTES));
    assert.equal(lengths.at(-1), ((size - 1) % PACKET_DATA_BYTES) + 1);
    const reference = [...piecesOf(plaintext, PACKET_DATA_BYTES)].map((data, number) =>
      sealPacket(keys, BigInt(number), data),
    );
    sameBytes(sealed, Buffer.concat(reference));
  });

  for (const split of splits) {
    test(`the packets of ${size} bytes open to the same bytes in pieces of ${split}`, () => {
      const plaintext = patternOf(size);
      sameBytes(openAll(newOpener(), piecesOf(sealAll(newSealer(), plaintext), split)), plaintext);
    });
  }
}

test("sealing any reads and opening the packets in any pieces gives the same bytes in order", () => {
  const reads = fc.array(fc.uint8Array({ minLength: 1, maxLength: 3_000 }), { minLength: 1, maxLength: 8 });
  const cuts = fc.array(fc.integer({ min: 1, max: 4_000 }), { minLength: 1, maxLength: 30 });
  fc.assert(
    fc.property(reads, cuts, (plaintexts, lengths) => {
      const sealer = newSealer();
      const sealed = Buffer.concat(plaintexts.map((plaintext) => sealAll(sealer, plaintext)));
      sameBytes(openAll(newOpener(), cutting(sealed, lengths)), Buffer.concat(plaintexts));
    }),
  );
});

test("the opener's output length is always enough and exceeds the need by one packet at most", () => {
  const cuts = fc.array(fc.integer({ min: 1, max: 3 * PACKET_BYTES }), { minLength: 1, maxLength: 20 });
  const sealed = sealAll(newSealer(), patternOf(40 * 1_024));
  fc.assert(
    fc.property(cuts, (lengths) => {
      const opener = newOpener();
      for (const piece of cutting(sealed, lengths)) {
        const need = opener.outputLength(piece.length);
        const written = opener.transform(piece, new Uint8Array(need));
        assert.ok(written <= need && need - written <= PACKET_DATA_BYTES);
        assert.ok(need <= addon.maxOpenedLength(piece.length));
      }
    }),
  );
});

test("the sealer's output length is that of the addon", () => {
  fc.assert(
    fc.property(fc.integer({ min: 0, max: 2 ** 31 }), (length) => {
      assert.equal(newSealer().outputLength(length), addon.sealedLength(length));
    }),
  );
});

test("the opener buffers the beginning of a packet, and the sealer buffers nothing", () => {
  const sealer = newSealer();
  const sealed = sealAll(sealer, patternOf(2_048));
  assert.equal(sealer.pendingBytes, 0);
  const opener = newOpener();
  const room = new Uint8Array(2_048);
  let taken = 0;
  for (const length of [1, 1_058, 1, 1_059, 1]) {
    opener.transform(sealed.subarray(taken, taken + length), room);
    taken += length;
    assert.equal(opener.pendingBytes, taken % PACKET_BYTES);
  }
});

test("packets before an invalid one in the same read are not returned", () => {
  const sealed = sealAll(newSealer(), patternOf(4_096));
  for (let packet = 0; packet < 4; packet += 1) {
    const wrong = flipped(sealed, 8 * (packet * PACKET_BYTES + 500));
    const opener = newOpener();
    throwsSpipedError(() => opener.transform(wrong, new Uint8Array(4_096)), "SPIPED_PACKET_MAC", /changed in transit/);
    throwsSpipedError(() => opener.transform(sealed, new Uint8Array(8_192)), "SPIPED_PACKET_MAC", /MAC/);
  }
});

for (const length of [0, 1_025, 65_536, 2 ** 31, 2 ** 32 - 1]) {
  test(`a packet with a valid MAC and a length of ${length} bytes is refused`, () => {
    const packet = sealPacket(keys, 0n, new Uint8Array(1_024), length);
    const opener = newOpener();
    throwsSpipedError(() => opener.transform(packet, new Uint8Array(1_024)), "SPIPED_PACKET_LENGTH", /out of range/);
  });
}

test("the padding of a packet is ignored", () => {
  const { E, H } = keys;
  const padded = new Uint8Array(1_024).fill(0xff);
  assert.equal(openAll(newOpener(), [sealPacket({ E, H }, 0n, padded, 3)]).length, 3);
});

test("misuse throws a SpipedError with the addon's code, and the addon's error as the cause", () => {
  const sealer = newSealer();
  const opener = newOpener();
  throwsSpipedError(() => sealer.transform(new Uint8Array(1), new Uint8Array(1_059)), "SPIPED_BUFFER", /small/);
  throwsSpipedError(() => opener.transform(new Uint8Array(1_060), new Uint8Array(1_023)), "SPIPED_BUFFER", /small/);
  sealer.destroy();
  opener.destroy();
  throwsSpipedError(() => sealer.transform(new Uint8Array(1), new Uint8Array(1_060)), "SPIPED_STEP", /destroyed/);
  assert.throws(
    () => opener.transform(new Uint8Array(1), new Uint8Array(1_024)),
    (error) => error instanceof SpipedError && error.cause instanceof Error,
  );
});

function sealAll(sealer: Sealer, plaintext: Uint8Array): Uint8Array {
  const sealed = new Uint8Array(sealer.outputLength(plaintext.length));
  assert.equal(sealer.transform(plaintext, sealed), sealed.length);
  return sealed;
}

function openAll(opener: Opener, pieces: Iterable<Uint8Array>): Uint8Array {
  const opened: Uint8Array[] = [];
  for (const piece of pieces) {
    const room = new Uint8Array(opener.outputLength(piece.length));
    opened.push(room.subarray(0, opener.transform(piece, room)));
  }
  return Buffer.concat(opened);
}

/** `bytes` cut at the given lengths, over and over. */
function* cutting(bytes: Uint8Array, lengths: readonly number[]): Generator<Uint8Array> {
  for (let at = 0, turn = 0; at < bytes.length; turn += 1) {
    const length = lengths[turn % lengths.length] ?? 1;
    yield bytes.subarray(at, at + length);
    at += length;
  }
}

function patternOf(length: number): Uint8Array {
  return Uint8Array.from({ length }, (_, index) => (index * 37 + 11) % 256);
}
