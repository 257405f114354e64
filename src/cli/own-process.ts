/**
 * Sets up the process of a command, before it reads any key: its name, the protection of its memory, and its exit.
 */

import { addon } from "../native/native.js";
import { createLog, type Log } from "../observe/log.js";
import { flushStandardError, replaceStandardError, standardErrorSink } from "../observe/standard-error.js";
import { hasProcessControl } from "../platform.js";

/** How long to wait for standard error to drain before exiting. */
const DRAIN_MS = 1_000;

/**
 * Names the process, protects its memory, and sets up its exit.
 *
 * @param program - The name of the process.
 * @returns The log on standard error.
 */
export function prepareProcess(program: string): Log {
  if (hasProcessControl()) {
    addon.nameProcess(program);
    addon.protectMemory();
  }
  const log = createLog(standardErrorSink(program));
  replaceStandardError(log);
  process.on("exit", () => {
    // Lines are dropped rather than waited for, here as everywhere.
    flushStandardError(DRAIN_MS);
    detachTerminals();
  });
  return log;
}

/** Protects the memory again; changing the user lifts the protection. */
export function protectMemoryAgain(): void {
  if (hasProcessControl()) addon.protectMemory();
}

/**
 * Drains standard error, and replaces standard streams that are terminals with `/dev/null`.
 *
 * On exit, Node.js restores the mode of the terminals that it was started with, and crashes if a terminal is gone. It
 * leaves a descriptor alone that is no longer that terminal.
 */
export function detachTerminals(): void {
  if (!hasProcessControl() || !addon.hasTerminal()) return;
  flushStandardError(DRAIN_MS);
  addon.detachTerminals();
}
