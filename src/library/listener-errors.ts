/**
 * Calls the program's listeners. An exception in a listener does not affect the connection that emitted the event: it
 * becomes an uncaught exception, as for every listener in Node.js.
 */

import type { EventEmitter } from "node:events";

export function emitSafely(emitter: EventEmitter, name: string, ...values: readonly unknown[]): void {
  callListener(() => emitter.emit(name, ...values), true);
}

/**
 * Calls listeners.
 *
 * @param otherwise - Returned if one of them throws.
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
