/**
 * Packets by the read: plaintext to whole packets, and pieces of a packet stream to plaintext. The last TypeScript
 * that a byte passes on its way; the framing itself is `crates/spiped-core/src/packet.rs`.
 *
 * Source: docs/protocol.md, "Packets".
 */

import type { Opener as NativeOpener, Sealer as NativeSealer } from "../native/native.js";
import { PACKET_BYTES, PACKET_DATA_BYTES } from "./constants.js";
import { asSpipedError } from "./native-errors.js";

/** One direction of a connection, as the pump sees it. */
export interface Framing {
  /** The most bytes that come out for `inputLength` bytes in. */
  outputLength(inputLength: number): number;
  /**
   * Transforms what one read gave.
   *
   * @param input - At least 1 byte.
   * @param output - At least `outputLength(input.length)` bytes; must not overlap `input`.
   * @returns Bytes written to `output`.
   */
  transform(input: Uint8Array, output: Uint8Array): number;
  /** Bytes taken that belong to a packet whose rest has not come, 0 to 1,059. */
  readonly pendingBytes: number;
  /** Wipes the keys; nothing can be transformed afterwards. */
  destroy(): void;
}

/** Seals plaintext into whole packets. */
export class Sealer implements Framing {
  readonly #native: NativeSealer;
  readonly pendingBytes = 0;

  constructor(native: NativeSealer) {
    this.#native = native;
  }

  outputLength(inputLength: number): number {
    return Math.ceil(inputLength / PACKET_DATA_BYTES) * PACKET_BYTES;
  }

  /**
   * Seals plaintext; cut into pieces of at most 1,024 bytes, nothing waits for more.
   *
   * @returns Bytes written, a multiple of 1,060.
   * @throws SpipedError `SPIPED_PACKET_NUMBERS_USED_UP` when this direction has no packet numbers left.
   */
  transform(plaintext: Uint8Array, packets: Uint8Array): number {
    try {
      return this.#native.seal(plaintext, packets);
    } catch (cause) {
      throw asSpipedError(cause);
    }
  }

  destroy(): void {
    this.#native.destroy();
  }
}

/** Opens packets; keeps the rest of one that has not come whole. */
export class Opener implements Framing {
  readonly #native: NativeOpener;

  constructor(native: NativeOpener) {
    this.#native = native;
  }

  get pendingBytes(): number {
    return this.#native.pendingBytes;
  }

  outputLength(inputLength: number): number {
    return Math.floor((PACKET_BYTES - 1 + inputLength) / PACKET_BYTES) * PACKET_DATA_BYTES;
  }

  /**
   * Opens the packets that are whole with these bytes.
   *
   * @returns Bytes of plaintext written; 0 while the first packet is not whole.
   * @throws SpipedError `SPIPED_PACKET_MAC` or `SPIPED_PACKET_LENGTH`; nothing of this stream can be trusted afterwards.
   */
  transform(ciphertext: Uint8Array, plaintext: Uint8Array): number {
    try {
      return this.#native.open(ciphertext, plaintext);
    } catch (cause) {
      throw asSpipedError(cause);
    }
  }

  destroy(): void {
    this.#native.destroy();
  }
}
