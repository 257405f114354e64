/**
 * Writes text, such as `--help`, to standard output synchronously. Node.js's `process.stdout` is not used, because it makes
 * the descriptor non-blocking for every process that shares it.
 */

import { writeSync } from "node:fs";
import { codeOf, SpipedError } from "../errors.js";
import { ERROR, isClosed, OUTPUT } from "../net/standard-descriptors.js";
import { hasDescriptors } from "../platform.js";
import { systemReason } from "../system-reason.js";

/** Time between attempts if the descriptor is full, and another process has made it non-blocking. */
const RETRY_MS = 10;

/**
 * Refuses to check anything if the verdicts cannot be written. If standard error looks closed as well, only the exit status
 * is wanted: programs that ignore both streams open `/dev/null` for reading and writing, which looks closed.
 *
 * @throws SpipedError `SPIPED_OUTPUT` if standard output is closed.
 */
export function checkOutput(): void {
  if (!hasDescriptors() || !isClosed(OUTPUT) || isClosed(ERROR)) return;
  throw new SpipedError("SPIPED_OUTPUT", "cannot write to standard output: it is closed", {
    hint: 'use "> /dev/null" to discard the output; a /dev/null that is open for reading and writing looks closed',
  });
}

/**
 * Writes text. A closed pipe is no error: `head` has read enough.
 *
 * @throws SpipedError `SPIPED_OUTPUT` if it cannot be written, for example because the disk is full.
 */
export function writeOutput(text: string): void {
  const bytes = Buffer.from(text);
  for (let written = 0; written < bytes.length; ) {
    try {
      written += writeSync(OUTPUT, bytes, written);
    } catch (cause) {
      const code = codeOf(cause);
      if (code === "EPIPE") return;
      if (code !== "EAGAIN") {
        throw new SpipedError("SPIPED_OUTPUT", `cannot write to standard output: ${systemReason(cause)}`, { cause });
      }
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, RETRY_MS);
    }
  }
}
