/**
 * Read coalescing. A busy one-way stream of small messages would cost a wake-up and two system calls for every message
 * or two. Waiting a moment before the next read lets one read take many. The relay has the same rule, in
 * `crates/spiped-relay/src/pace.rs`.
 *
 * Only reading waits; what was read is sent at once. It waits only after `SMALL_READS` consecutive reads of less than
 * `SMALL_BYTES`, each within `GAP_MS` of the one before, with nothing received in the other direction in between. So
 * requests and responses are never delayed. Differs from spiped, which reads whatever is there.
 */

import { type Clock, keepAliveClock } from "../clock.js";

/** Longest wait. Node's timers have millisecond resolution, so it may be one more. */
export const WAIT_MS = 1;
/** Small reads in a row before the first wait. */
export const SMALL_READS = 8;
/** A read of this many bytes or more is not small. */
export const SMALL_BYTES = 16 * 1_024;
/** A stream with a longer pause than this is not busy. */
export const GAP_MS = 0.5;

/** Decides when one direction waits. */
export class ReadCoalescer {
  readonly #enabled: boolean;
  #smallReads = 0;
  /** The earliest time at which the next read could have happened. */
  #readyAtMs: number;

  constructor(enabled: boolean, nowMs: number) {
    this.#enabled = enabled;
    this.#readyAtMs = nowMs;
  }

  /**
   * Records a read of `bytes`.
   *
   * @returns Whether to wait before the next one; call `waited` after the wait.
   */
  afterRead(bytes: number, nowMs: number): boolean {
    const isBusy = nowMs - this.#readyAtMs < GAP_MS;
    this.#smallReads = bytes < SMALL_BYTES && isBusy ? this.#smallReads + 1 : 0;
    this.#readyAtMs = nowMs;
    return this.#enabled && this.#smallReads >= SMALL_READS;
  }

  /** Ends a wait, which does not count as a pause of the stream. */
  waited(nowMs: number): void {
    this.#readyAtMs = nowMs;
  }

  /** Data arrived in the other direction: this is request and response, so do not wait. */
  interrupt(): void {
    this.#smallReads = 0;
  }
}

/** A direction whose read waits. */
export interface Waiter {
  /** Called when the wait is over. */
  readAgain(): void;
}

/**
 * The coalescing waits of all connections of a process. They share one timer: a waiter added while it runs waits for
 * the rest only, and many busy streams are read in one wake-up.
 */
export class CoalescingTimer {
  readonly #clock: Clock;
  readonly #waiting = new Set<Waiter>();
  #cancelTimer: (() => void) | undefined;

  /** @param clock - Its timers must keep the process alive: a socket that is not being read does not. */
  constructor(clock: Clock = keepAliveClock) {
    this.#clock = clock;
  }

  now(): number {
    return this.#clock.now();
  }

  /** Calls `readAgain` within `WAIT_MS`. */
  begin(waiter: Waiter): void {
    this.#waiting.add(waiter);
    this.#cancelTimer ??= this.#clock.later(this.#end, WAIT_MS);
  }

  /** Cancels a pending wait, if any. */
  cancel(waiter: Waiter): void {
    if (!this.#waiting.delete(waiter) || this.#waiting.size > 0) return;
    this.#cancelTimer?.();
    this.#cancelTimer = undefined;
  }

  readonly #end = (): void => {
    this.#cancelTimer = undefined;
    const waited = [...this.#waiting];
    this.#waiting.clear();
    for (const waiter of waited) waiter.readAgain();
  };
}
