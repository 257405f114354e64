// A sink for readers: records everything, stops when told, and can be awaited.

import type { ByteSink } from "#dist/net/byte-reader.js";
import { within } from "../../support/cleanup.js";

/** A sink for tests of readers. */
export class KeepingSink implements ByteSink {
  readonly #kept: Buffer[] = [];
  #keptBytes = 0;
  #ends = 0;
  #wake: Array<() => void> = [];
  /** Limit for one `receive`. */
  mostBytes = Number.POSITIVE_INFINITY;
  /** What `receive` returns. */
  goesOn = true;
  /** Called with the reader's own memory, before it is copied. */
  onReceive: (bytes: Uint8Array) => void = () => undefined;

  receive(bytes: Uint8Array): boolean {
    this.onReceive(bytes);
    this.#kept.push(Buffer.from(bytes));
    this.#keptBytes += bytes.length;
    this.#changed();
    return this.goesOn;
  }

  end(): void {
    this.#ends += 1;
    this.#changed();
  }

  get bytes(): Uint8Array {
    return Buffer.concat(this.#kept);
  }

  get keptBytes(): number {
    return this.#keptBytes;
  }

  /** How often `receive` was called. */
  get takes(): number {
    return this.#kept.length;
  }

  /** How often `end` was called. */
  get ends(): number {
    return this.#ends;
  }

  async untilBytes(count: number): Promise<void> {
    await this.#until(() => this.#keptBytes >= count, `${count} bytes`);
  }

  async untilEnd(): Promise<void> {
    await this.#until(() => this.#ends > 0, "the end");
  }

  async #until(condition: () => boolean, what: string): Promise<void> {
    const wait = async (): Promise<void> => {
      while (!condition()) await new Promise<void>((resolve) => this.#wake.push(resolve));
    };
    await within(wait(), () => `${what} at a sink that has ${this.#keptBytes} bytes`);
  }

  #changed(): void {
    for (const resolve of this.#wake.splice(0)) resolve();
  }
}

/** Runs the event loop for a few iterations, so that everything that can happen by now has happened. */
export async function eventLoopTurns(count = 5): Promise<void> {
  for (let turn = 0; turn < count; turn += 1) await new Promise((resolve) => setImmediate(resolve));
}
