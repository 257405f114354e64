/**
 * The exact reads at the start of a stream: holds the bytes that have come and the one read that waits for more.
 */

import { SpipedError } from "../errors.js";

type Ended = "no" | "orderly" | "closed";

/** Collects the first bytes of a stream and hands them out by exact reads. */
export class ExactReads {
  readonly #bytes: Uint8Array;
  #arrived = 0;
  #taken = 0;
  #ended: Ended = "no";
  #waiting: { readonly length: number; resolve(bytes: Uint8Array): void; reject(error: SpipedError): void } | undefined;

  /** @param length - Bytes of all exact reads together. */
  constructor(length: number) {
    this.#bytes = new Uint8Array(length);
  }

  /** Bytes that have not come yet. */
  get missing(): number {
    return this.#bytes.length - this.#arrived;
  }

  /** The bytes that have come. */
  get arrivedSoFar(): Uint8Array {
    return this.#bytes.subarray(0, this.#arrived);
  }

  /** Where the next bytes go: `missing` bytes of memory. */
  get space(): Uint8Array {
    return this.#bytes.subarray(this.#arrived);
  }

  /** Says that `count` bytes were written into `space`. */
  arrived(count: number): void {
    this.#arrived += count;
    this.#settle();
  }

  /** Says that nothing more will come. */
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

/** A stream has ended before all bytes of the exact reads had come. */
export function handshakeEndError(how: "orderly" | "closed", arrivedBytes: number, length: number): SpipedError {
  const got = `${arrivedBytes} of ${length} handshake bytes`;
  return how === "orderly"
    ? new SpipedError("SPIPED_HANDSHAKE_ENDED", `the peer closed the connection after ${got}`)
    : new SpipedError("SPIPED_RESET", `connection reset after ${got}`);
}
