/**
 * Log lines for people. A line that cannot be written is dropped: a log that is full, closed or not read never holds
 * up or ends the program.
 */

import { writeSync } from "node:fs";
import { SpipedError, stackOf } from "../errors.js";
import { printableBytes } from "../paths.js";

/** How bad it is, as syslog numbers it. */
export type Severity = "error" | "warning" | "notice";

/** Where lines go. */
export interface LogSink {
  /** Writes one line, without a line break at its end. */
  write(severity: Severity, line: string): void;
}

/** Writes lines. Whatever a peer or a name server put into a text, it stays one line without control characters. */
export interface Log {
  /** What an operator expects: start, stop, a key read again. */
  notice(text: string): void;
  /** What an operator may have to look at: a connection that failed. */
  warning(text: string): void;
  /** An error: its message and, where it has one, a hint on a line of its own. */
  error(error: unknown): void;
}

/** Makes a log. */
export function createLog(sink: LogSink): Log {
  return {
    notice: (text) => sink.write("notice", printable(text)),
    warning: (text) => sink.write("warning", printable(text)),
    error: (error) => {
      for (const line of errorLines(error)) sink.write("error", line);
    },
  };
}

/**
 * A sink for standard error that waits for whoever reads it: for the time before the addon is loaded, and where it cannot
 * be.
 *
 * @param program - First word of each line.
 */
export function directSink(program: string): LogSink {
  return {
    write(_severity, line) {
      try {
        writeSync(2, programLine(program, line));
      } catch {
        // There is nowhere else to tell it.
      }
    },
  };
}

/** A line as it stands on standard error, with its line break. What belongs to the line before is without the name. */
export function programLine(program: string, line: string): string {
  return line.startsWith("hint: ") || line.startsWith("  ") ? `${line}\n` : `${program}: ${line}\n`;
}

/** The lines that tell an error to people. */
export function errorLines(error: unknown): readonly string[] {
  if (!(error instanceof SpipedError)) return [`internal error: ${printable(stackOf(error).join(" "))}`];
  const message = error.message.split("\n").map(printable);
  return error.hint === undefined ? message : [...message, `hint: ${printable(error.hint)}`];
}

/** The text as it may reach a terminal. */
export function printable(text: string): string {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are what must not reach a terminal
  return printableBytes(text).replace(/[\u0000-\u001f\u007f-\u009f]/g, "?");
}
