/**
 * Caches responses that are expensive to generate. With thousands of connections a snapshot takes milliseconds; the cache
 * bounds the share of time spent on it, however often it is requested.
 */

import type { Clock } from "../clock.js";

/** A text is cached for this many times as long as it took to generate. */
const LIFETIME_FACTOR = 20;

/** Texts by name. */
export class TextCache {
  readonly #now: Clock["now"];
  readonly #cached = new Map<string, { readonly text: string; readonly untilMs: number }>();

  constructor(now: Clock["now"]) {
    this.#now = now;
  }

  /** Returns the cached text, or generates it with `make`. */
  text(name: string, make: () => string): string {
    const cached = this.#cached.get(name);
    const startMs = this.#now();
    if (cached !== undefined && startMs < cached.untilMs) return cached.text;
    const text = make();
    const endMs = this.#now();
    this.#cached.set(name, { text, untilMs: endMs + LIFETIME_FACTOR * (endMs - startMs) });
    return text;
  }
}
