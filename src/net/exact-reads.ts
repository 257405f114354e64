/**
 * The exact reads at the start of a stream: buffers the received bytes and the pending read.
 */

/** How a stream ended: the peer closed it, or it broke or was closed on this side. */
export type StreamEnd = "orderly" | "closed";

/** The stream ended before the exact reads were complete. The caller knows what they were for and words the error. */
export class EarlyEnd extends Error {
  override readonly name = "EarlyEnd";

  constructor(
    readonly how: StreamEnd,
    /** How many bytes of all exact reads arrived. */
    readonly arrivedBytes: number,
    /** How many bytes all exact reads together wanted. */
    readonly wantedBytes: number,
  ) {
    super(`the stream ended after ${arrivedBytes} of ${wantedBytes} bytes`);
  }
}

/** Collects the first bytes of a stream and returns them in exact reads. */
export class ExactReads {
  readonly #bytes: Uint8Array;
  #arrived = 0;
  #taken = 0;
  #ended: StreamEnd | undefined;
  #waiting: { readonly length: number; resolve(bytes: Uint8Array): void; reject(error: EarlyEnd): void } | undefined;

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
  ended(how: StreamEnd): void {
    this.#ended ??= how;
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
    } else if (this.#ended !== undefined) {
      this.#waiting = undefined;
      waiting.reject(new EarlyEnd(this.#ended, this.#arrived, this.#bytes.length));
    }
  }
}
