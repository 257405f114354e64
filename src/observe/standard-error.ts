/**
 * Log lines to standard error, which belongs to others as well: nothing about it is changed, and a thread of the addon
 * writes to it, so that a reader that is slow, stopped or gone holds up nothing here.
 */

import { Writable } from "node:stream";
import { addon } from "../native/native.js";
import { lostLine } from "./format.js";
import type { Log, LogSink } from "./log.js";
import { logChoices } from "./log-choices.js";
import { lineStart, standardErrorText } from "./standard-error-lines.js";

/** Bytes of lines that may wait for a slow reader. */
const MAX_WAITING_BYTES = 1_024 * 1_024;

type Writer = InstanceType<typeof addon.LogWriter>;

let writer: Writer | undefined;

/**
 * A sink for standard error.
 *
 * @param program - First word of each line.
 */
export function standardErrorSink(program: string): LogSink {
  writer ??= new addon.LogWriter(MAX_WAITING_BYTES);
  const own = writer;
  let chosen: unknown;
  return {
    write(entry) {
      const choices = logChoices();
      if (chosen !== choices) {
        chosen = choices;
        own.setLostLine(lostLine(choices.format, lineStart(program)));
      }
      own.write(standardErrorText(entry, program));
    },
  };
}

/**
 * Has what asks for `process.stderr` write through the same thread. Node.js asks for it whenever a socket is destroyed,
 * if only to compare, and making the stream makes a pipe non-blocking for everybody who has it.
 *
 * @param log - Takes Node.js's own warnings, which it would write by itself.
 */
export function replaceStandardError(log: Log): void {
  const stream = new Writable({
    write(chunk: Buffer, _encoding, done) {
      writer?.write(chunk.toString());
      done();
    },
  });
  Object.defineProperty(process, "stderr", { configurable: true, enumerable: true, value: stream });
  process.removeAllListeners("warning");
  process.on("warning", ({ name, message }) => log.warning(`${name}: ${message}`));
}

/** Waits until all lines are written, but no longer than `timeoutMs`. */
export function flushStandardError(timeoutMs: number): void {
  writer?.flush(timeoutMs);
}
