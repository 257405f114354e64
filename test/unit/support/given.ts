// A reader and a writer in a test's hand: what comes, when it ends, and when the system has taken a write.

import assert from "node:assert/strict";
import { Writable } from "node:stream";
import type { ByteReader, ByteSink } from "#dist/net/byte-reader.js";
import { turns } from "./sink.js";

/** A reader whose bytes the test gives. */
export class GivenReader implements ByteReader {
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

  /** What one read gave; the memory is overwritten afterwards, as a shared buffer is. */
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

/** A writer that keeps what it is given, and says that it is written when the test says so. */
export class GivenWritable extends Writable {
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
    // The system takes the bytes when it can, so the memory must still hold them then.
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

  /** Lets the write that waits be done, and gives the event loop the time to begin the next. */
  async release(error?: Error): Promise<void> {
    this.#pending.shift()?.(error);
    await turns(2);
  }
}
