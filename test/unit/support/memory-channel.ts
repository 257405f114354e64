// In-memory channels: the test reads what one writes, and the other way round.

import { PassThrough, type Writable } from "node:stream";
import type { SpipedError } from "#dist/errors.js";
import type { ByteReader } from "#dist/net/byte-reader.js";
import type { Channel } from "#dist/net/channel.js";
import { StreamReader } from "#dist/net/stream-reader.js";
import { within } from "../../support/cleanup.js";

/** A channel in memory. */
export class MemoryChannel implements Channel {
  readonly reader: ByteReader;
  readonly writable: Writable;
  readonly peer = "memory";
  /** Calls, in order. */
  readonly calls: Array<"close" | "reset"> = [];
  /** The test writes here what the channel reads. */
  readonly input = new PassThrough();
  readonly #output = new PassThrough();
  #listener: ((error: SpipedError) => void) | undefined;

  /** @param exactLength - Total of all exact reads, in bytes. */
  constructor(exactLength: number) {
    this.reader = new StreamReader(this.input, exactLength);
    this.writable = this.#output;
  }

  onFailure(listener: (error: SpipedError) => void): void {
    this.#listener = listener;
  }

  close(): void {
    this.calls.push("close");
  }

  reset(): void {
    this.calls.push("reset");
  }

  /** Makes the channel fail. */
  fail(error: SpipedError): void {
    this.#listener?.(error);
  }

  /** Bytes that the channel has written and the test has not read. */
  get waitingBytes(): number {
    return this.#output.readableLength;
  }

  /** Exactly `length` bytes of what the channel writes. */
  async read(length: number): Promise<Uint8Array> {
    const wait = async (): Promise<Uint8Array> => {
      for (;;) {
        const bytes: Buffer | null = this.#output.read(length);
        if (bytes !== null) return bytes;
        await new Promise((resolve) => this.#output.once("readable", resolve));
      }
    };
    return within(wait(), `${length} bytes`);
  }
}
