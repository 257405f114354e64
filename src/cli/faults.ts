/**
 * Uncaught errors: bugs in this program. They are logged in one line, and the process exits with status 1, where Node.js
 * would print a piece of the source.
 */

import { SpipedError } from "../errors.js";
import type { Log } from "../observe/log.js";

let log: Log;

/** Logs uncaught errors from now on. */
export function watchFaults(first: Log): void {
  log = first;
  process.on("uncaughtException", end);
  process.on("unhandledRejection", end);
}

/** Logs uncaught errors to another log. */
export function tellFaultsTo(next: Log): void {
  log = next;
}

function end(thrown: unknown): void {
  try {
    log.error(asInternalError(thrown));
  } finally {
    // Exit handlers reset connections and remove files.
    process.exit(1);
  }
}

/** An uncaught error is a bug, even if it was meant for the operator. */
function asInternalError(thrown: unknown): unknown {
  if (!(thrown instanceof SpipedError)) return thrown;
  const error = new Error(thrown.message);
  return thrown.stack === undefined ? error : Object.assign(error, { stack: thrown.stack });
}
