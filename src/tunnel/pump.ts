/**
 * One direction of a connection: what a read gave is sealed or opened, and written at once.
 *
 *     reader → framing.transform → chunk → writable
 *
 * The pump stops reading while its receiver is full, rests when it has had its share of a turn, waits a moment where its
 * stream is one of many small messages, and hands the end of the stream on as a half-close.
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

/** Bytes of one read of a busy stream. */
const LARGE_READ_BYTES = 64 * 1_024;
/** Bytes of the first read after a pause, and of all while receivers hold much. */
export const SMALL_READ_BYTES = 16 * 1_024;
/** The part of the budget beyond which all reads are small. */
const MUCH = 1 / 8;

/** What a pump moves, and whom it tells. */
export interface PumpOptions {
  readonly from: ByteReader;
  readonly framing: Framing;
  readonly chunks: ChunkPool;
  readonly turns: FairScheduler;
  readonly waits: CoalescingTimer;
  /** Whether busy one-way streams of small messages wait before they are read. */
  readonly coalescing: boolean;
  readonly to: Writable;
  /** Something was read. */
  readonly arrived: () => void;
  /** Asked when `to` has finished: why the other side has not the end of the stream all the same. */
  readonly failureOfEnd?: () => SpipedError | undefined;
  /** Everything has been handed on, and the end of the stream too. */
  readonly ended: () => void;
  /** The direction cannot go on. */
  readonly failed: (error: SpipedError) => void;
}

/**
 * One direction. It reads from `start` on and calls either `ended` or `failed` of its options, once; `stop` ends it
 * without either. It owns the framing and wipes its key.
 */
export class Pump implements ByteSink, ChunkOwner, Scheduled, Waiter {
  readonly #options: PumpOptions;
  readonly #share: FairShare;
  readonly #coalescer: ReadCoalescer;
  #state: "flowing" | "ending" | "ended" | "stopped" = "flowing";
  /** What reading waits for. */
  #waitsFor: "nothing" | "receiver" | "turn" | "more" = "nothing";
  #unwrittenChunks = 0;
  #lastReadBytes = 0;
  #bytesIn = 0;
  #bytesOut = 0;

  constructor(options: PumpOptions) {
    this.#options = options;
    this.#share = new FairShare(options.turns, this);
    // What has been read waits for nothing, in the buffer of a stream neither.
    this.#coalescer = new ReadCoalescer(options.coalescing && options.from.leavesBytesToSystem, options.waits.now());
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
    this.#options.waits.cancel(this);
    this.#options.framing.destroy();
  }

  /**
   * A read is offered its memory long before it is done: for a quiet stream it is always small, so that many of them
   * cannot become much at once.
   */
  get mostBytes(): number {
    const { heldBytes, limitBytes } = this.#options.chunks.budget;
    if (heldBytes >= limitBytes) return PACKET_DATA_BYTES;
    return this.#lastReadBytes < SMALL_READ_BYTES || heldBytes >= limitBytes * MUCH
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
    this.#coalescer.waited(this.#options.waits.now());
    this.#readOn();
  }

  /** Something was read in the other direction: nothing waits in a conversation. */
  interrupt(): void {
    this.#coalescer.interrupt();
    if (this.#waitsFor !== "more") return;
    this.#options.waits.cancel(this);
    this.readAgain();
  }

  #whatFor(readBytes: number): "nothing" | "receiver" | "turn" | "more" {
    const { waits } = this.#options;
    const hasMoreTurn = this.#share.spend(readBytes);
    const waitsForMore = this.#coalescer.afterRead(readBytes, waits.now());
    // What the system takes at once is written by now.
    if (this.#options.to.writableLength > 0 && this.#unwrittenChunks > 0) return "receiver";
    if (!hasMoreTurn) {
      this.#share.rest();
      return "turn";
    }
    if (!waitsForMore) return "nothing";
    waits.begin(this);
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
      // An end that could not be handed on is none. The side that failed says why.
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
