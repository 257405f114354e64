/**
 * A listener of the program's that throws is the program's mistake, and none of the connection that it hears of: the
 * connection goes on, and the error is uncaught, as that of every listener in Node.js.
 */

import type { EventEmitter } from "node:events";

/** Emits an event. */
export function emitSafely(emitter: EventEmitter, name: string, ...values: readonly unknown[]): void {
  callListener(() => emitter.emit(name, ...values), true);
}

/**
 * Calls listeners.
 *
 * @param otherwise - What to give back where one of them throws.
 */
export function callListener<T>(call: () => T, otherwise: T): T {
  try {
    return call();
  } catch (error) {
    process.nextTick(() => {
      throw error;
    });
    return otherwise;
  }
}
