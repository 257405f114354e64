/**
 * One direction of a connection: seals or opens each read, and writes the result at once.
 *
 *     reader → framing.transform → chunk → writable
 *
 * The pump stops reading while its receiver is full, yields after its share of an event loop iteration, coalesces reads
 * of small messages, and passes the end of the stream on as a half-close.
 *
 * Source: DESIGN.md, "Data path" and docs/protocol.md, "How a connection ends".
 */

import type { Writable } from "node:stream";
import type { SpipedError } from "../errors.js";
import type { ByteReader, ByteSink } from "../net/byte-reader.js";
import { PACKET_DATA_BYTES } from "../protocol/constants.js";
import { asSpipedError } from "../protocol/native-errors.js";
import { truncated } from "../protocol/packet-relay.js";
import type { Framing } from "../protocol/packets.js";
import type { ChunkOwner, ChunkPool } from "./chunk-pool.js";
import { type CoalescingTimer, ReadCoalescer, type Waiter } from "./coalescing.js";
import { type FairScheduler, FairShare, type Scheduled } from "./fairness.js";

/** Read size of a busy stream. */
const LARGE_READ_BYTES = 64 * 1_024;
/** Size of the first read after a pause, and of all reads while much is buffered. */
export const SMALL_READ_BYTES = 16 * 1_024;
/** Above this part of the budget, all reads are small. */
const MUCH = 1 / 8;

export interface PumpOptions {
  readonly from: ByteReader;
  readonly framing: Framing;
  readonly chunks: ChunkPool;
  readonly scheduler: FairScheduler;
  readonly timer: CoalescingTimer;
  /** Whether to coalesce reads of busy one-way streams of small messages. */
  readonly coalescing: boolean;
  readonly to: Writable;
  /** Called after each read. */
  readonly arrived: () => void;
  /** Called when `to` has finished. Returns an error if the other side did not get the end of the stream after all. */
  readonly failureOfEnd?: () => SpipedError | undefined;
  /** Called when everything has been delivered, including the end of the stream. */
  readonly ended: () => void;
  /** Called when the direction has failed. */
  readonly failed: (error: SpipedError) => void;
}

/**
 * One direction. It reads from `start` on and calls either `ended` or `failed` once; `stop` ends it without calling
 * either. It owns the framing and wipes its key.
 */
export class Pump implements ByteSink, ChunkOwner, Scheduled, Waiter {
  readonly #options: PumpOptions;
  readonly #share: FairShare;
  readonly #coalescer: ReadCoalescer;
  #state: "flowing" | "ending" | "ended" | "stopped" = "flowing";
  /** Why reading is paused. */
  #waitsFor: "nothing" | "receiver" | "turn" | "more" = "nothing";
  #unwrittenChunks = 0;
  #lastReadBytes = 0;
  #bytesIn = 0;
  #bytesOut = 0;

  constructor(options: PumpOptions) {
    this.#options = options;
    this.#share = new FairShare(options.scheduler, this);
    // Deliver data at once; it must not sit in a stream's buffer either.
    this.#coalescer = new ReadCoalescer(options.coalescing && options.from.leavesBytesToSystem, options.timer.now());
  }

  /** Bytes read so far. */
  get bytesIn(): number {
    return this.#bytesIn;
  }

  /** Bytes written so far. */
  get bytesOut(): number {
    return this.#bytesOut;
  }

  /** True when everything has been delivered, including the end of the stream. */
  get isEnded(): boolean {
    return this.#state === "ended";
  }

  start(): void {
    this.#options.from.flowInto(this);
  }

  /** Drops further data, and wipes the key. */
  stop(): void {
    this.#state = "stopped";
    this.#options.timer.cancel(this);
    this.#options.framing.destroy();
  }

  /**
   * A read gets its buffer long before data arrives. For a quiet stream the size is always small, so that many streams
   * that wake at once cannot buffer much.
   */
  get mostBytes(): number {
    const { usedBytes, limitBytes } = this.#options.chunks.budget;
    if (usedBytes >= limitBytes) return PACKET_DATA_BYTES;
    return this.#lastReadBytes < SMALL_READ_BYTES || usedBytes >= limitBytes * MUCH
      ? SMALL_READ_BYTES
      : LARGE_READ_BYTES;
  }

  receive(input: Uint8Array): boolean {
    this.#options.arrived();
    if (this.#state !== "flowing") return false;
    const { framing, chunks, to } = this.#options;
    this.#bytesIn += input.length;
    this.#lastReadBytes = input.length;
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
    } else {
      this.#bytesOut += length;
      this.#unwrittenChunks += 1;
      chunk.lend(this);
      to.write(chunk.memory.subarray(0, length), chunk.written);
    }
    this.#waitsFor = this.#whatFor(input.length);
    return this.#waitsFor === "nothing";
  }

  released(): void {
    this.#unwrittenChunks -= 1;
    if (this.#waitsFor === "receiver" && this.#unwrittenChunks === 0) this.#readOn();
  }

  readOn(): void {
    this.#readOn();
  }

  readAgain(): void {
    this.#coalescer.waited(this.#options.timer.now());
    this.#readOn();
  }

  /** Data arrived in the other direction: a conversation must not wait. */
  interrupt(): void {
    this.#coalescer.interrupt();
    if (this.#waitsFor !== "more") return;
    this.#options.timer.cancel(this);
    this.readAgain();
  }

  #whatFor(readBytes: number): "nothing" | "receiver" | "turn" | "more" {
    const { timer } = this.#options;
    const hasMoreTurn = this.#share.spend(readBytes);
    const waitsForMore = this.#coalescer.afterRead(readBytes, timer.now());
    // What the system accepts at once is written by now.
    if (this.#options.to.writableLength > 0 && this.#unwrittenChunks > 0) return "receiver";
    if (!hasMoreTurn) {
      this.#share.rest();
      return "turn";
    }
    if (!waitsForMore) return "nothing";
    timer.begin(this);
    return "more";
  }

  #readOn(): void {
    this.#waitsFor = "nothing";
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
      // If the end could not be passed on, the stream did not end. The side that failed reports why.
      if (this.#state !== "ending" || error) return;
      const failure = this.#options.failureOfEnd?.();
      if (failure !== undefined) {
        this.#fail(failure);
        return;
      }
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
