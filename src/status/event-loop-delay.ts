/**
 * How late timers are: the time for which something else held the event loop up.
 *
 * Node.js can measure that, and wakes the process a hundred times a second for it. Twice a second is enough to see that a
 * process is busy, and costs an idle one nothing that could be measured.
 */

import type { Clock } from "../clock.js";
import { DELAY_BOUNDS, Histogram, type HistogramFigures } from "./histogram.js";

const INTERVAL_MS = 500;

/** See the head of this file. */
export class EventLoopDelay {
  readonly #clock: Clock;
  readonly #histogram = new Histogram(DELAY_BOUNDS);
  #callOff: () => void = () => undefined;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** Begins to look. */
  start(): void {
    const due = this.#clock.now() + INTERVAL_MS;
    this.#callOff = this.#clock.later(() => {
      this.#histogram.add(Math.max(0, this.#clock.now() - due) / 1_000);
      this.start();
    }, INTERVAL_MS);
  }

  stop(): void {
    this.#callOff();
  }

  get figures(): HistogramFigures {
    return this.#histogram.figures;
  }
}
