/**
 * Writes the log to standard error on a thread of the addon, so that a slow, stopped or absent reader never blocks the event
 * loop. Other processes may share the descriptor, so it is not made non-blocking.
 */

import { Writable } from "node:stream";
import { addon } from "../native/native.js";
import { lostLine } from "./format.js";
import type { Log, LogSink } from "./log.js";
import { logSettings } from "./log-settings.js";
import { lineStart, standardErrorText } from "./standard-error-lines.js";

/** Bytes to buffer for a slow reader; beyond them, messages are dropped. */
const MAX_WAITING_BYTES = 1_024 * 1_024;

type Writer = InstanceType<typeof addon.LogWriter>;

let writer: Writer | undefined;

/**
 * A sink for standard error.
 *
 * @param program - The prefix of each line.
 */
export function standardErrorSink(program: string): LogSink {
  writer ??= new addon.LogWriter(MAX_WAITING_BYTES);
  const own = writer;
  let applied: unknown;
  return {
    write(entry) {
      const settings = logSettings();
      if (applied !== settings) {
        applied = settings;
        own.setLostLine(lostLine(settings.format, lineStart(program)));
      }
      own.write(standardErrorText(entry, program));
    },
  };
}

/**
 * Replaces `process.stderr` with a stream that writes through the same thread. Node.js accesses it whenever a socket is
 * destroyed, if only to compare, and creating Node's own stream makes a pipe non-blocking for every process that shares it.
 *
 * @param log - Receives Node.js's warnings, which Node.js would otherwise print itself.
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

/** Blocks until everything is written, at most `timeoutMs`. */
export function flushStandardError(timeoutMs: number): void {
  writer?.flush(timeoutMs);
}
