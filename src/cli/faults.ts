/**
 * What was thrown where nobody catches it: a mistake in this program. One line tells it, and the process ends with
 * status 1, where Node.js would print a piece of the program.
 */

import { SpipedError } from "../errors.js";
import type { Log } from "../observe/log.js";

let log: Log;

/** Tells faults from now on. */
export function watchFaults(first: Log): void {
  log = first;
  process.on("uncaughtException", end);
  process.on("unhandledRejection", end);
}

/** Tells faults to another log than before. */
export function tellFaultsTo(next: Log): void {
  log = next;
}

function end(thrown: unknown): void {
  try {
    log.error(unexpected(thrown));
  } finally {
    // Those who listen for the end reset their connections and remove their files.
    process.exit(1);
  }
}

/** Even an error for the operator is a mistake of ours where nobody was there to take it. */
function unexpected(thrown: unknown): unknown {
  if (!(thrown instanceof SpipedError)) return thrown;
  const error = new Error(thrown.message);
  return thrown.stack === undefined ? error : Object.assign(error, { stack: thrown.stack });
}
