/**
 * Time, for what has it as a parameter.
 */

/** Time, and being called later. */
export interface Clock {
  /** Milliseconds, which only go forward. */
  now(): number;
  /**
   * Calls back once.
   *
   * @returns Calls it off.
   */
  later(action: () => void, delayMs: number): () => void;
}

/** The clock of this machine; whoever waits for it keeps no process alive. */
export const systemClock: Clock = {
  now: () => performance.now(),
  later(action, delayMs) {
    const timer = setTimeout(action, delayMs).unref();
    return () => clearTimeout(timer);
  },
};

/** The same, for what the process must stay alive for. */
export const keepAliveClock: Clock = {
  now: () => performance.now(),
  later(action, delayMs) {
    const timer = setTimeout(action, delayMs);
    return () => clearTimeout(timer);
  },
};

/** The longest time that a timer takes. */
export const LONGEST_MS = 2 ** 31 - 1;
