/**
 * What a command's process is to others on the machine, from before any key is read until its end.
 */

import { addon } from "../native/native.js";
import { createLog, type Log } from "../observe/log.js";
import { flushStandardError, replaceStandardError, standardErrorSink } from "../observe/standard-error.js";
import { hasProcessControl } from "../platform.js";

/** So long may a slow reader of standard error take for the lines that are to come before something else. */
const LAST_LINES_MS = 1_000;

/**
 * Names the process, keeps its memory from others, and sees to it that it ends well.
 *
 * @param program - The process's name.
 * @returns Where its lines go.
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
    flushStandardError(LAST_LINES_MS);
    detachTerminals();
  });
  return log;
}

/** Keeps the memory from others again, after a change of the user. */
export function protectMemoryAgain(): void {
  if (hasProcessControl()) addon.protectMemory();
}

/**
 * Puts nothing in the place of standard streams that are terminals, once what was written before has come out.
 *
 * At its end Node.js restores terminals that it was started with, although nobody here changes one, and crashes where
 * the terminal has gone. It leaves a descriptor alone that leads elsewhere by then.
 */
export function detachTerminals(): void {
  if (!hasProcessControl() || !addon.hasTerminal()) return;
  flushStandardError(LAST_LINES_MS);
  addon.detachTerminals();
}
