/**
 * One direction of a connection: what a read gave is sealed or opened, and written at once.
 *
 *     reader → framing.transform → chunk → writable
 *
 * The pump stops reading while too much waits to be written, and hands the end of the stream on as a half-close.
 *
 * Source: DESIGN.md, "The way of a byte" and "How a connection ends".
 */

import type { Writable } from "node:stream";
import type { SpipedError } from "../errors.js";
import type { ByteReader, ByteSink } from "../net/byte-reader.js";
import { asSpipedError } from "../protocol/native-errors.js";
import { truncated } from "../protocol/packet-relay.js";
import type { Framing } from "../protocol/packets.js";
import type { Chunk, ChunkOwner, ChunkPool } from "./chunk-pool.js";

/** Bytes of memory that may wait to be written before reading stops. */
const MAX_WAITING_BYTES = 512 * 1_024;
/** Bytes below which it goes on. */
const RESUME_WAITING_BYTES = 256 * 1_024;

/** What a pump moves, and whom it tells. */
export interface PumpOptions {
  readonly from: ByteReader;
  readonly framing: Framing;
  readonly chunks: ChunkPool;
  readonly to: Writable;
  /** Everything has been handed on, and the end of the stream too. */
  readonly ended: () => void;
  /** The direction cannot go on. */
  readonly failed: (error: SpipedError) => void;
}

/** See the head of this file. */
export class Pump implements ByteSink, ChunkOwner {
  readonly #options: PumpOptions;
  #state: "flowing" | "ending" | "ended" | "stopped" = "flowing";
  #waitingBytes = 0;
  #paused = false;
  #bytesIn = 0;
  #bytesOut = 0;

  constructor(options: PumpOptions) {
    this.#options = options;
  }

  /** Bytes read so far. */
  get bytesIn(): number {
    return this.#bytesIn;
  }

  /** Bytes handed to the other side so far. */
  get bytesOut(): number {
    return this.#bytesOut;
  }

  /** True when everything, the end of the stream too, has been handed on. */
  get isEnded(): boolean {
    return this.#state === "ended";
  }

  /** Begins to read. */
  start(): void {
    this.#options.from.flowInto(this);
  }

  /** Drops whatever still comes, and wipes the key. */
  stop(): void {
    this.#state = "stopped";
    this.#options.framing.destroy();
  }

  take(input: Uint8Array): boolean {
    if (this.#state !== "flowing") return false;
    const { framing, chunks, to } = this.#options;
    this.#bytesIn += input.length;
    const chunk = chunks.take(framing.outputLength(input.length));
    let length: number;
    try {
      length = framing.transform(input, chunk.memory);
    } catch (error) {
      chunk.written();
      this.#fail(error);
      return false;
    }
    if (length === 0) {
      chunk.written();
      return true;
    }
    this.#bytesOut += length;
    this.#waitingBytes += chunk.memory.length;
    chunk.lend(this);
    to.write(chunk.memory.subarray(0, length), chunk.written);
    this.#paused = this.#waitingBytes >= MAX_WAITING_BYTES;
    return !this.#paused;
  }

  released(chunk: Chunk): void {
    this.#waitingBytes -= chunk.memory.length;
    if (!this.#paused || this.#waitingBytes > RESUME_WAITING_BYTES) return;
    this.#paused = false;
    if (this.#state === "flowing") this.#options.from.resume();
  }

  end(handedOn?: () => void): void {
    if (this.#state !== "flowing") return;
    const { framing, to } = this.#options;
    if (framing.pendingBytes > 0) {
      this.#fail(truncated(framing.pendingBytes));
      return;
    }
    this.#state = "ending";
    framing.destroy();
    to.end((error?: Error | null) => {
      // An end that could not be handed on is none. The side that failed says why.
      if (this.#state !== "ending" || error) return;
      this.#state = "ended";
      this.#options.ended();
      handedOn?.();
    });
  }

  #fail(error: unknown): void {
    this.stop();
    this.#options.failed(asSpipedError(error));
  }
}
