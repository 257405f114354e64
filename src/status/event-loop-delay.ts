/**
 * Measures event-loop delay: how late a timer fires.
 *
 * Node.js has a histogram for it, but wakes the process a hundred times a second. Twice a second is enough to see that a
 * process is busy, and costs an idle one nothing measurable.
 */

import type { Clock } from "../clock.js";
import { DELAY_BOUNDS, Histogram, type HistogramFigures } from "./histogram.js";

const INTERVAL_MS = 500;

/** A timer that records its own delay. */
export class EventLoopDelay {
  readonly #clock: Clock;
  readonly #histogram = new Histogram(DELAY_BOUNDS);
  #cancelTimer: () => void = () => undefined;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** Schedules the next measurement. */
  start(): void {
    const due = this.#clock.now() + INTERVAL_MS;
    this.#cancelTimer = this.#clock.later(() => {
      this.#histogram.add(Math.max(0, this.#clock.now() - due) / 1_000);
      this.start();
    }, INTERVAL_MS);
  }

  stop(): void {
    this.#cancelTimer();
  }

  get figures(): HistogramFigures {
    return this.#histogram.figures;
  }
}
