/**
 * Text that was asked for, such as `--help`, to standard output: whole, before anything else happens, and without
 * changing the descriptor, which Node.js's `process.stdout` makes non-blocking for everybody who has it.
 */

import { writeSync } from "node:fs";
import { codeOf, messageOf, SpipedError } from "../errors.js";
import { ERROR, isClosed, OUTPUT } from "../net/standard-descriptors.js";
import { hasDescriptors } from "../platform.js";

/** Time between attempts where somebody else has made it non-blocking and it takes nothing. */
const RETRY_MS = 10;

/**
 * Refuses to begin what is of no use unread. Where standard error is as closed there is nobody to be told, and the exit
 * status is what is wanted: programs that ignore both open `/dev/null` for reading and writing twice, which looks so.
 *
 * @throws SpipedError `SPIPED_OUTPUT` where standard output is closed, as far as that can be told.
 */
export function checkOutput(): void {
  if (!hasDescriptors() || !isClosed(OUTPUT) || isClosed(ERROR)) return;
  throw new SpipedError("SPIPED_OUTPUT", "cannot write to standard output: it is closed", {
    hint: '"> /dev/null" drops what is said; a /dev/null that is open for both reading and writing can look closed',
  });
}

/**
 * Writes a text. A reader that has gone has read enough, as `head` has.
 *
 * @throws SpipedError `SPIPED_OUTPUT` where it cannot be written, on a full disk say.
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
        throw new SpipedError("SPIPED_OUTPUT", `cannot write to standard output: ${messageOf(cause)}`, { cause });
      }
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, RETRY_MS);
    }
  }
}
