// A fake clock.

import type { Clock } from "#dist/clock.js";

/** A clock that the test advances. */
export class ManualClock implements Clock {
  #now = 0;
  #calls: Array<{ readonly at: number; readonly action: () => void }> = [];

  now(): number {
    return this.#now;
  }

  /** Number of pending timers. */
  get waiting(): number {
    return this.#calls.length;
  }

  later(action: () => void, delayMs: number): () => void {
    const call = { at: this.#now + delayMs, action };
    this.#calls.push(call);
    return () => {
      this.#calls = this.#calls.filter((other) => other !== call);
    };
  }

  pass(milliseconds: number): void {
    this.#now += milliseconds;
    const due = this.#calls.filter(({ at }) => at <= this.#now);
    this.#calls = this.#calls.filter(({ at }) => at > this.#now);
    for (const { action } of due) action();
  }
}
