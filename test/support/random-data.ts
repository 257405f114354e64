// Deterministic pseudo-random data from a seed, cheap to generate, with its digest.

import { type Cipher, createCipheriv, createHash } from "node:crypto";

const pieceBytes = 65_536;
const zeros = Buffer.alloc(pieceBytes);

/** An endless stream of bytes from one seed. */
export class RandomData {
  readonly #cipher: Cipher;

  constructor(seed: string) {
    this.#cipher = createCipheriv("aes-256-ctr", createHash("sha256").update(seed).digest(), Buffer.alloc(16));
  }

  /** The next `lengthBytes` bytes. */
  next(lengthBytes: number): Uint8Array {
    return this.#cipher.update(lengthBytes === pieceBytes ? zeros : Buffer.alloc(lengthBytes));
  }

  /** The next `lengthBytes` bytes in pieces suitable for a socket. */
  *pieces(lengthBytes: number): Generator<Uint8Array> {
    for (let left = lengthBytes; left > 0; left -= pieceBytes) yield this.next(Math.min(left, pieceBytes));
  }
}

/** The first `lengthBytes` bytes of a seed. */
export function randomData(seed: string, lengthBytes: number): Uint8Array {
  return new RandomData(seed).next(lengthBytes);
}

/** SHA-256 in hex of the first `lengthBytes` bytes of a seed. */
export function digestOfRandomData(seed: string, lengthBytes: number): string {
  const hash = createHash("sha256");
  for (const piece of new RandomData(seed).pieces(lengthBytes)) hash.update(piece);
  return hash.digest("hex");
}

/** SHA-256 in hex of some bytes. */
export function digestOf(bytes: Uint8Array): string {
  return createHash("sha256").update(bytes).digest("hex");
}
