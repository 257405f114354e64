/**
 * The pid file: written when the daemon is ready, removed at its end if it is still this daemon's.
 */

import { readFileSync, unlinkSync, writeFileSync } from "node:fs";
import { codeOf, messageOf, SpipedError } from "../errors.js";

/** Writes this process's id, in decimal digits and without a line break, as the original does. */
export function writePidFile(path: string): void {
  try {
    writeFileSync(path, String(process.pid), { mode: 0o644 });
  } catch (cause) {
    throw new SpipedError("SPIPED_PID_FILE", `cannot write pid file ${path}: ${messageOf(cause)}`, {
      cause,
      hint: "name another with -p, or stay in the foreground with -F",
    });
  }
}

/**
 * Removes the pid file unless it holds another process's id.
 *
 * @throws SpipedError `SPIPED_PID_FILE` where permissions do not allow it, as after `-u`.
 */
export function removePidFile(path: string): void {
  try {
    if (readFileSync(path, "latin1").trim() === String(process.pid)) unlinkSync(path);
  } catch (cause) {
    if (codeOf(cause) === "ENOENT") return;
    throw new SpipedError("SPIPED_PID_FILE", `cannot remove pid file ${path}: ${messageOf(cause)}`, { cause });
  }
}
