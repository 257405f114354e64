/**
 * Sealing and opening: turns the cleartext of a read into whole packets, and pieces of a packet stream into cleartext. The
 * packet format itself is implemented in `crates/spiped-core/src/packet.rs`.
 *
 * Source: docs/protocol.md, "Packets".
 */

import type { Opener as NativeOpener, Sealer as NativeSealer } from "../native/native.js";
import { PACKET_BYTES, PACKET_DATA_BYTES } from "./constants.js";
import { asSpipedError } from "./native-errors.js";

/** One direction of a connection, for the pump. */
export interface Framing {
  /** The maximum output for `inputLength` bytes of input. */
  outputLength(inputLength: number): number;
  /**
   * Transforms the data of one read.
   *
   * @param input - At least 1 byte.
   * @param output - At least `outputLength(input.length)` bytes; must not overlap `input`.
   * @returns Bytes written to `output`.
   */
  transform(input: Uint8Array, output: Uint8Array): number;
  /** Buffered bytes of an incomplete packet, 0 to 1,059. */
  readonly pendingBytes: number;
  /** Wipes the keys; `transform` must not be called afterwards. */
  destroy(): void;
}

/** Seals cleartext into whole packets. */
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
   * Seals cleartext in packets of at most 1,024 bytes of data. Nothing is buffered.
   *
   * @returns Bytes written, a multiple of 1,060.
   * @throws SpipedError `SPIPED_PACKET_NUMBERS_USED_UP` if this direction has no packet numbers left.
   */
  transform(cleartext: Uint8Array, packets: Uint8Array): number {
    try {
      return this.#native.seal(cleartext, packets);
    } catch (cause) {
      throw asSpipedError(cause);
    }
  }

  destroy(): void {
    this.#native.destroy();
  }
}

/** Opens packets; buffers the beginning of an incomplete one. */
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
   * Opens the packets that these bytes complete.
   *
   * @returns Bytes of cleartext written; 0 if no packet is complete.
   * @throws SpipedError `SPIPED_PACKET_MAC` or `SPIPED_PACKET_LENGTH`; the rest of the stream cannot be trusted.
   */
  transform(packets: Uint8Array, cleartext: Uint8Array): number {
    try {
      return this.#native.open(packets, cleartext);
    } catch (cause) {
      throw asSpipedError(cause);
    }
  }

  destroy(): void {
    this.#native.destroy();
  }
}
