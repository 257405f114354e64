// Framings for tests of pumps: both ends of one connection, and one that only copies.

import { addon } from "#dist/native/native.js";
import { type Framing, Opener, Sealer } from "#dist/protocol/packets.js";

const E = new Uint8Array(32).fill(0x11);
const H = new Uint8Array(32).fill(0x22);

/** A sealer, and the opener of its packets. */
export function framingPair(): { readonly sealer: Sealer; readonly opener: Opener } {
  return { sealer: new Sealer(addon.Sealer.fromKeys(E, H, 0n)), opener: new Opener(addon.Opener.fromKeys(E, H, 0n)) };
}

/** Seals all of `plaintext` with a new sealer. */
export function sealedBytes(plaintext: Uint8Array): Uint8Array {
  const { sealer } = framingPair();
  const out = new Uint8Array(sealer.outputLength(plaintext.length));
  sealer.transform(plaintext, out);
  return out;
}

/** Copies, and records calls. */
export class CopyingFraming implements Framing {
  pendingBytes = 0;
  destroys = 0;
  /** What `transform` throws instead of copying. */
  failure: unknown;

  outputLength(inputLength: number): number {
    return inputLength;
  }

  transform(input: Uint8Array, output: Uint8Array): number {
    if (this.failure !== undefined) throw this.failure;
    output.set(input);
    return input.length;
  }

  destroy(): void {
    this.destroys += 1;
  }
}
