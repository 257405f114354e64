/**
 * The log. Messages that cannot be written are dropped: a full, closed or unread log never blocks or terminates the process.
 */

import { writeSync } from "node:fs";
import { isInternalError, SpipedError, stackOf } from "../errors.js";
import type { EventName, Level, LogEntry } from "./entry.js";
import { isLogged } from "./log-settings.js";
import { standardErrorText } from "./standard-error-lines.js";

/** Where messages go. */
export interface LogSink {
  write(entry: LogEntry): void;
}

/** Filters messages by level and passes them to a sink. */
export interface Log {
  /** Whether messages of this level are written; check it before building expensive ones. */
  writes(level: Level): boolean;
  write(entry: LogEntry): void;
  /** Logs a text at level `info`. */
  notice(text: string): void;
  /** Logs a text at level `warning`. */
  warning(text: string): void;
  /** Logs an error with its hint, if it has one. */
  error(error: unknown): void;
}

/** Creates a log that writes to `sink`. */
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

/** A log that adds a tunnel's name to every message. */
export function logOfTunnel(log: Log, tunnel: string): Log {
  return createLog({ write: (entry) => log.write({ tunnel, ...entry }) });
}

/** The message for an error. */
export function errorEntry(error: unknown, event: EventName = "error"): LogEntry {
  if (!(error instanceof SpipedError)) {
    return { event, level: "error", code: "SPIPED_INTERNAL", message: `internal error: ${stackOf(error).join(" ")}` };
  }
  const { code, message, hint } = error;
  return { event, level: "error", code, message, hint, stack: isInternalError(error) ? stackOf(error) : undefined };
}

/**
 * A sink that writes to standard error synchronously and may block. Used until the addon is loaded, or if it cannot be.
 *
 * @param program - The prefix of each line.
 */
export function directSink(program: string): LogSink {
  return {
    write(entry) {
      try {
        writeSync(2, standardErrorText(entry, program));
      } catch {
        // There is nowhere else to report it.
      }
    },
  };
}
