/**
 * When a pump reads. A busy one-way stream of small messages would cost a wake-up and two system calls for each message
 * or two; it waits a moment before the next read, so that one read takes many. The rule is that of the relay, in
 * `crates/spiped-relay/src/pace.rs`.
 *
 * Only the read waits: what was read goes out at once. And only after `SMALL_READS` reads of less than `SMALL_BYTES`,
 * each within `GAP_MS` of the one before, with nothing in the other direction in between. So requests and their answers
 * never wait. Differs from spiped, which reads whatever is there.
 */

import { type Clock, keepAliveClock } from "../clock.js";

/** How long a read waits at most; Node's timers count whole milliseconds, so that it may be one more. */
export const WAIT_MS = 1;
/** Small reads in a row before the first wait. */
export const SMALL_READS = 8;
/** A read of so many bytes is not small. */
export const SMALL_BYTES = 16 * 1_024;
/** A stream that lets so much time go by is not busy. */
export const GAP_MS = 0.5;

/** The pace of one direction. */
export class ReadCoalescer {
  readonly #enabled: boolean;
  #smallReads = 0;
  /** When the next read might have been done, had there been bytes. */
  #readyAtMs: number;

  constructor(enabled: boolean, nowMs: number) {
    this.#enabled = enabled;
    this.#readyAtMs = nowMs;
  }

  /**
   * A read gave `bytes`.
   *
   * @returns Whether the next one waits; then `waited` is told when it has.
   */
  afterRead(bytes: number, nowMs: number): boolean {
    const isBusy = nowMs - this.#readyAtMs < GAP_MS;
    this.#smallReads = bytes < SMALL_BYTES && isBusy ? this.#smallReads + 1 : 0;
    this.#readyAtMs = nowMs;
    return this.#enabled && this.#smallReads >= SMALL_READS;
  }

  /** The wait is over: its time is no pause of the stream. */
  waited(nowMs: number): void {
    this.#readyAtMs = nowMs;
  }

  /** Something came in the other direction: this is a conversation. */
  interrupt(): void {
    this.#smallReads = 0;
  }
}

/** Whose read waits. */
export interface Waiter {
  /** The wait is over. */
  readAgain(): void;
}

/**
 * The waits of all connections of a process. One timer serves all: who comes while it runs waits for what is left, and
 * many busy streams are read in one wake-up.
 */
export class CoalescingTimer {
  readonly #clock: Clock;
  readonly #waiting = new Set<Waiter>();
  #callOff: (() => void) | undefined;

  /** @param clock - Must keep the process alive: a socket that nobody reads does not. */
  constructor(clock: Clock = keepAliveClock) {
    this.#clock = clock;
  }

  /** The time. */
  now(): number {
    return this.#clock.now();
  }

  /** Calls `readAgain` within `WAIT_MS`. */
  begin(waiter: Waiter): void {
    this.#waiting.add(waiter);
    this.#callOff ??= this.#clock.later(this.#end, WAIT_MS);
  }

  /** Calls a wait off, if there is one. */
  cancel(waiter: Waiter): void {
    if (!this.#waiting.delete(waiter) || this.#waiting.size > 0) return;
    this.#callOff?.();
    this.#callOff = undefined;
  }

  readonly #end = (): void => {
    this.#callOff = undefined;
    const waited = [...this.#waiting];
    this.#waiting.clear();
    for (const waiter of waited) waiter.readAgain();
  };
}
