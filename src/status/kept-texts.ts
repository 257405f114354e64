/**
 * Texts that are dear to make, kept for as long as making them again would take more than a small share of the time: with
 * thousands of connections a snapshot takes milliseconds, and whoever asks again and again gets the same one for a while.
 */

import type { Clock } from "../clock.js";

/** A text is kept for so many times as long as it took to make. */
const KEPT_FOR = 20;

/** See the head of this file. */
export class KeptTexts {
  readonly #now: Clock["now"];
  readonly #kept = new Map<string, { readonly text: string; readonly untilMs: number }>();

  constructor(now: Clock["now"]) {
    this.#now = now;
  }

  /** @param make - Makes the text of this name. */
  text(name: string, make: () => string): string {
    const kept = this.#kept.get(name);
    const beganMs = this.#now();
    if (kept !== undefined && beganMs < kept.untilMs) return kept.text;
    const text = make();
    const madeMs = this.#now();
    this.#kept.set(name, { text, untilMs: madeMs + KEPT_FOR * (madeMs - beganMs) });
    return text;
  }
}
