/**
 * The log. An entry that cannot be written is dropped: a log that is full, closed or not read never holds up or ends the
 * program.
 */

import { writeSync } from "node:fs";
import { isFaultOfOurs, SpipedError, stackOf } from "../errors.js";
import type { EventName, Level, LogEntry } from "./entry.js";
import { isLogged } from "./log-choices.js";
import { standardErrorText } from "./standard-error-lines.js";

/** Where entries go. */
export interface LogSink {
  write(entry: LogEntry): void;
}

/** Takes what happens. */
export interface Log {
  /** Whether entries of this level are written, so that nobody makes one that is not. */
  writes(level: Level): boolean;
  write(entry: LogEntry): void;
  /** What an operator expects, in words. */
  notice(text: string): void;
  /** What an operator may have to look at, in words. */
  warning(text: string): void;
  /** An error: its message and, where it has one, a hint. */
  error(error: unknown): void;
}

/** Makes a log. */
export function createLog(sink: LogSink): Log {
  const write = (entry: LogEntry) => {
    if (entry.isAnswer || isLogged(entry.level)) sink.write(entry);
  };
  return {
    writes: isLogged,
    write,
    notice: (text) => write({ event: "note", level: "info", message: text }),
    warning: (text) => write({ event: "note", level: "warning", message: text }),
    error: (error) => write(errorEntry(error)),
  };
}

/** The same log, whose entries are about one of several tunnels. */
export function logOfTunnel(log: Log, tunnel: string): Log {
  return createLog({ write: (entry) => log.write({ tunnel, ...entry }) });
}

/** An error as an entry. */
export function errorEntry(error: unknown, event: EventName = "error"): LogEntry {
  if (!(error instanceof SpipedError)) {
    return { event, level: "error", code: "SPIPED_INTERNAL", message: `internal error: ${stackOf(error).join(" ")}` };
  }
  const { code, message, hint } = error;
  return { event, level: "error", code, message, hint, stack: isFaultOfOurs(error) ? stackOf(error) : undefined };
}

/**
 * A sink for standard error that waits for whoever reads it: for the time before the addon is loaded, and where it cannot
 * be.
 *
 * @param program - First word of each line.
 */
export function directSink(program: string): LogSink {
  return {
    write(entry) {
      try {
        writeSync(2, standardErrorText(entry, program));
      } catch {
        // There is nowhere else to tell it.
      }
    },
  };
}
