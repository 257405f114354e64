// Bytes in tests: compared without a huge diff, split into pieces, and with a bit flipped.

import assert from "node:assert/strict";

/** Lengths around the limits of the protocol and the read buffer. */
export const boundarySizes: readonly number[] = [1, 1_023, 1_024, 1_025, 2_048, 65_535, 65_536, 65_537];

/** Lengths of pieces around one packet. */
export const splits: readonly number[] = [1, 7, 1_059, 1_060, 1_061];

/** Asserts that both contain the same bytes, whatever kind of array they are. */
export function sameBytes(actual: Uint8Array, expected: Uint8Array, message = "bytes"): void {
  if (Buffer.compare(actual, expected) === 0) return;
  const at = actual.findIndex((byte, index) => byte !== expected[index]);
  const where = at === -1 ? Math.min(actual.length, expected.length) : at;
  assert.fail(
    `${message}: ${actual.length} bytes instead of ${expected.length}, the first difference is at ${where}: ` +
      `${hexAt(actual, where)} instead of ${hexAt(expected, where)}`,
  );
}

/** `bytes` in pieces of `length`; the last may be shorter. */
export function* piecesOf(bytes: Uint8Array, length: number): Generator<Uint8Array> {
  for (let at = 0; at < bytes.length; at += length) yield bytes.subarray(at, at + length);
}

/** A copy of `bytes` with one bit flipped; bit 0 is the lowest of the first byte. */
export function flipped(bytes: Uint8Array, bit: number): Uint8Array {
  const copy = Uint8Array.from(bytes);
  const at = Math.floor(bit / 8);
  const byte = copy[at];
  if (byte === undefined) throw new Error(`there is no bit ${bit} in ${bytes.length} bytes`);
  copy[at] = byte ^ (1 << (bit % 8));
  return copy;
}

/** y as it goes over the wire: 256 bytes, big-endian. */
export function publicValueBytes(y: bigint): Uint8Array {
  return Uint8Array.from(Buffer.from(y.toString(16).padStart(512, "0"), "hex"));
}

function hexAt(bytes: Uint8Array, at: number): string {
  return Buffer.from(bytes.subarray(at, at + 16)).toString("hex");
}
