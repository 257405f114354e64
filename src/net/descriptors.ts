/**
 * Counts descriptors against the process's limit, so that accepting stops before they run out.
 *
 * Node does not report when they do: libuv silently accepts the client and closes it. So each connection books two
 * descriptors when it is accepted, and a listener stops accepting when too few are left. New clients then wait in the
 * backlog.
 */

import { readdirSync } from "node:fs";
import { addon } from "../native/native.js";
import { hasDescriptors } from "../platform.js";

/** Reserved for lookups, key files, additional addresses of a target, and Node's own files. */
const SPARE = 32;

/** A socket on each side. */
export const DESCRIPTORS_PER_CONNECTION = 2;

/**
 * The number of descriptors that connections may still open. Book each one that is opened, and release it by booking a
 * negative number. Booking never fails, so check `hasRoom` first.
 */
export class DescriptorBudget {
  #free: number;
  readonly #waiting = new Set<() => void>();

  /** @param free - Descriptors available for connections; raised to the needs of one connection. */
  constructor(free: number) {
    this.#free = Math.max(free, DESCRIPTORS_PER_CONNECTION);
  }

  /**
   * Creates a budget of the descriptors that this process can still open.
   *
   * @param reserved - Descriptors to set aside for other purposes.
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
   * Books descriptors that are open or about to be opened; a negative number releases them and wakes the waiters. Never
   * fails.
   */
  book(count: number): void {
    this.#free -= count;
    if (count >= 0 || !this.hasRoom) return;
    const waiting = [...this.#waiting];
    this.#waiting.clear();
    for (const wake of waiting) wake();
  }

  /** Calls back once, when there is room again. */
  whenRoom(wake: () => void): void {
    this.#waiting.add(wake);
  }
}

/** The process's limit of open descriptors. */
export function descriptorLimit(): number {
  return hasDescriptors() ? addon.descriptorLimit() : Number.POSITIVE_INFINITY;
}

function openDescriptors(): number {
  for (const folder of ["/proc/self/fd", "/dev/fd"]) {
    try {
      return readdirSync(folder).length;
    } catch {
      // Try the next folder, or fall back to the estimate below.
    }
  }
  return 64;
}
