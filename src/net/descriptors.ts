/**
 * Counts descriptors against the process's limit, so that accepting stops before they run out.
 *
 * Node cannot tell when they do: libuv then accepts a client and closes it at once, without a word. So each
 * connection books its two descriptors when it is accepted, and a listener that finds too few left lets further
 * clients wait in the backlog.
 */

import { readdirSync } from "node:fs";
import { addon } from "../native/native.js";
import { hasDescriptors } from "../platform.js";

/** Kept back for look-ups, key files, further addresses of a target, and whatever Node opens. */
const SPARE = 32;

/** What one connection needs: a socket on either side. */
export const DESCRIPTORS_PER_CONNECTION = 2;

/**
 * How many descriptors connections may still open. Whoever opens one books it, and gives it back with a negative number;
 * booking never fails, so ask `hasRoom` first.
 */
export class DescriptorBudget {
  #free: number;
  readonly #waiting = new Set<() => void>();

  /** @param free - Descriptors that connections may use; there is always room for one connection. */
  constructor(free: number) {
    this.#free = Math.max(free, DESCRIPTORS_PER_CONNECTION);
  }

  /**
   * What this process may still open, measured now.
   *
   * @param reserved - Descriptors that are kept for something else.
   */
  static measure(reserved = 0): DescriptorBudget {
    return new DescriptorBudget(descriptorLimit() - openDescriptors() - SPARE - reserved);
  }

  /** How many more connections fit. */
  get connections(): number {
    return Math.floor(this.#free / DESCRIPTORS_PER_CONNECTION);
  }

  /** Whether another connection fits. */
  get hasRoom(): boolean {
    return this.#free >= DESCRIPTORS_PER_CONNECTION;
  }

  /**
   * Books descriptors, never refused since they are open already or about to be; a negative number gives them back,
   * and wakes whoever waits for them.
   */
  book(count: number): void {
    this.#free -= count;
    if (count >= 0 || !this.hasRoom) return;
    const waiting = [...this.#waiting];
    this.#waiting.clear();
    for (const wake of waiting) wake();
  }

  /** Calls back once when there is room again. */
  whenRoom(wake: () => void): void {
    this.#waiting.add(wake);
  }
}

/** The most descriptors that this process may have open. */
export function descriptorLimit(): number {
  return hasDescriptors() ? addon.descriptorLimit() : Number.POSITIVE_INFINITY;
}

function openDescriptors(): number {
  for (const folder of ["/proc/self/fd", "/dev/fd"]) {
    try {
      return readdirSync(folder).length;
    } catch {
      // The next one, or the guess below.
    }
  }
  return 64;
}
