/**
 * The system's time, for what has it as a parameter.
 */

import type { Clock } from "../protocol/key-pairs.js";

/** Keeps no process alive. */
export const systemClock: Clock = {
  now: () => performance.now(),
  later(action, delayMs) {
    const timer = setTimeout(action, delayMs).unref();
    return () => clearTimeout(timer);
  },
};
