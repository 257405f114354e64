// A reader and a writer controlled by the test: what arrives, when it ends, and when a write completes.

import assert from "node:assert/strict";
import { Writable } from "node:stream";
import type { ByteReader, ByteSink } from "#dist/net/byte-reader.js";
import { eventLoopTurns } from "./sink.js";

/** A reader whose bytes come from the test. */
export class ManualReader implements ByteReader {
  leavesBytesToSystem = true;
  #sink: ByteSink | undefined;
  resumes = 0;
  /** Runs when the pump wants more, until it stops. */
  onResume: () => void = () => undefined;

  readExactly(): Promise<Uint8Array> {
    throw new Error("a pump reads nothing exactly");
  }

  flowInto(sink: ByteSink): void {
    this.#sink = sink;
  }

  resume(): void {
    this.resumes += 1;
    this.onResume();
  }

  /** Delivers one read; the memory is overwritten afterwards, as a shared buffer is. */
  give(bytes: Uint8Array): boolean {
    assert.ok(this.#sink !== undefined, "the pump has not started");
    const shared = Uint8Array.from(bytes);
    const goesOn = this.#sink.receive(shared);
    shared.fill(0xee);
    return goesOn;
  }

  end(): void {
    assert.ok(this.#sink !== undefined, "the pump has not started");
    this.#sink.end();
  }
}

/** A writer that records writes, and completes them when the test says so. */
export class ManualWritable extends Writable {
  readonly #kept: Buffer[] = [];
  #pending: Array<(error?: Error | null) => void> = [];
  /** Whether writes wait for `release`. */
  holds = false;
  isFinal = false;

  constructor() {
    super({ highWaterMark: 1_024, decodeStrings: false });
  }

  override _write(bytes: Buffer, _encoding: string, done: (error?: Error | null) => void): void {
    if (!this.holds) {
      this.#kept.push(Buffer.from(bytes));
      done();
      return;
    }
    // The system takes the bytes later, so the memory must still contain them then.
    this.#pending.push((error) => {
      if (error === undefined) this.#kept.push(Buffer.from(bytes));
      done(error);
    });
  }

  override _final(done: (error?: Error | null) => void): void {
    this.isFinal = true;
    if (this.holds) this.#pending.push(done);
    else done();
  }

  get bytes(): Uint8Array {
    return Buffer.concat(this.#kept);
  }

  get pendingWrites(): number {
    return this.#pending.length;
  }

  /** Completes the pending write, and gives the event loop time to begin the next. */
  async release(error?: Error): Promise<void> {
    this.#pending.shift()?.(error);
    await eventLoopTurns(2);
  }
}
