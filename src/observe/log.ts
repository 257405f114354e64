/**
 * Log lines for people, on standard error. A line that cannot be written is dropped: a log that is full, closed or not
 * read never holds up or ends the program.
 */

import type { Writable } from "node:stream";
import { type EndReason, SpipedError } from "../errors.js";
import type { ConnectionReport } from "../tunnel/connection.js";

/** Bytes of lines that may wait for a slow reader. */
const MAX_WAITING_BYTES = 1_024 * 1_024;

/** Writes lines. */
export interface Log {
  /** Writes one line; line breaks in `text` do not start another. */
  line(text: string): void;
  /** Writes an error: its message and, where it has one, the hint on a line of its own. */
  error(error: unknown): void;
}

/**
 * Makes a log.
 *
 * @param program - First word of each line.
 * @param stream - Where lines go.
 */
export function createLog(program: string, stream: Writable): Log {
  stream.on("error", () => undefined);
  const write = (text: string) => {
    if (stream.writableLength > MAX_WAITING_BYTES || stream.destroyed) return;
    stream.write(`${text}\n`);
  };
  return {
    line: (text) => write(`${program}: ${printable(text)}`),
    error: (error) => {
      for (const line of errorLines(error)) write(line.startsWith("hint: ") ? line : `${program}: ${line}`);
    },
  };
}

/** The lines that tell an error to people. */
export function errorLines(error: unknown): readonly string[] {
  if (!(error instanceof SpipedError)) return [`internal error: ${printable(stackOf(error))}`];
  const message = error.message.split("\n").map(printable).join("\n");
  return error.hint === undefined ? [message] : [message, `hint: ${printable(error.hint)}`];
}

const WORDS: Readonly<Record<EndReason, string>> = {
  closed: "closed",
  "connect-failed": "connect failed",
  "handshake-failed": "handshake failed",
  "timed-out": "timed out",
  "packet-rejected": "packet rejected",
  truncated: "truncated",
  reset: "reset",
  cancelled: "cancelled",
  failed: "internal error",
};

/** The line about a connection that did not end in an orderly way; undefined where there is nothing to say. */
export function describeEnd(report: ConnectionReport): string | undefined {
  if (report.reason === "closed") return undefined;
  const { source, reason, error, bytesForward, bytesReverse, durationMs } = report;
  const why = error === undefined ? "" : `: ${error.message}`;
  const carried = report.phase === "piping" ? `${bytesForward} bytes forward, ${bytesReverse} back, ` : "";
  return `connection from ${source}: ${WORDS[reason]}${why} (${carried}${(durationMs / 1_000).toFixed(3)} s)`;
}

function printable(text: string): string {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are what must not reach a terminal
  return text.replace(/[\u0000-\u001f\u007f-\u009f]/g, "?");
}

function stackOf(error: unknown): string {
  return error instanceof Error ? (error.stack ?? error.message).replaceAll("\n", " ") : String(error);
}
