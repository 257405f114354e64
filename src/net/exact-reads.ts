/**
 * The exact reads at the start of a stream: buffers the received bytes and the pending read.
 */

import { SpipedError } from "../errors.js";

type Ended = "no" | "orderly" | "closed";

/** Collects the first bytes of a stream and returns them in exact reads. */
export class ExactReads {
  readonly #bytes: Uint8Array;
  #arrived = 0;
  #taken = 0;
  #ended: Ended = "no";
  #waiting: { readonly length: number; resolve(bytes: Uint8Array): void; reject(error: SpipedError): void } | undefined;

  /** @param length - Total length of all exact reads, in bytes. */
  constructor(length: number) {
    this.#bytes = new Uint8Array(length);
  }

  /** How many bytes have not arrived yet. */
  get missing(): number {
    return this.#bytes.length - this.#arrived;
  }

  /** The bytes that have arrived. */
  get arrivedSoFar(): Uint8Array {
    return this.#bytes.subarray(0, this.#arrived);
  }

  /** The memory for the next bytes, `missing` bytes long. */
  get space(): Uint8Array {
    return this.#bytes.subarray(this.#arrived);
  }

  /** Reports that `count` bytes were written into `space`. */
  arrived(count: number): void {
    this.#arrived += count;
    this.#settle();
  }

  /** Reports that no more bytes will arrive. */
  ended(how: Exclude<Ended, "no">): void {
    if (this.#ended === "no") this.#ended = how;
    this.#settle();
  }

  /** See `ByteReader.readExactly`. */
  read(length: number): Promise<Uint8Array> {
    return new Promise((resolve, reject) => {
      this.#waiting = { length, resolve, reject };
      this.#settle();
    });
  }

  #settle(): void {
    const waiting = this.#waiting;
    if (waiting === undefined) return;
    if (this.#arrived - this.#taken >= waiting.length) {
      this.#waiting = undefined;
      this.#taken += waiting.length;
      waiting.resolve(this.#bytes.subarray(this.#taken - waiting.length, this.#taken));
    } else if (this.#ended !== "no") {
      this.#waiting = undefined;
      waiting.reject(handshakeEndError(this.#ended, this.#arrived, this.#bytes.length));
    }
  }
}

/** The error when a stream ends before the exact reads are complete. */
export function handshakeEndError(how: "orderly" | "closed", arrivedBytes: number, length: number): SpipedError {
  const got = `${arrivedBytes} of ${length} handshake bytes`;
  return how === "orderly"
    ? new SpipedError("SPIPED_HANDSHAKE_ENDED", `the peer closed the connection after ${got}`)
    : new SpipedError("SPIPED_RESET", `connection reset after ${got}`);
}
