/**
 * Clocks, for code that takes time as a parameter.
 */

/** A source of time and timers. */
export interface Clock {
  /** Monotonic time in milliseconds. */
  now(): number;
  /**
   * Calls `action` once, after `delayMs`.
   *
   * @returns A function that cancels the timer.
   */
  later(action: () => void, delayMs: number): () => void;
}

/** The system clock, with timers that do not keep the process alive. */
export const systemClock: Clock = {
  now: () => performance.now(),
  later(action, delayMs) {
    const timer = setTimeout(action, delayMs).unref();
    return () => clearTimeout(timer);
  },
};

/** The system clock, with timers that keep the process alive. */
export const keepAliveClock: Clock = {
  now: () => performance.now(),
  later(action, delayMs) {
    const timer = setTimeout(action, delayMs);
    return () => clearTimeout(timer);
  },
};

/** The longest delay of a timer. */
export const LONGEST_MS = 2 ** 31 - 1;
