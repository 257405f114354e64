/**
 * The log settings of the process. They are global because standard error is.
 */

import { LEVELS, type Level } from "./entry.js";

/** The values of `--log-format`. */
export const LOG_FORMATS = ["text", "json"] as const;

/** One of {@link LOG_FORMATS}. */
export type LogFormat = (typeof LOG_FORMATS)[number];

/** What an operator can configure. */
export interface LogSettings {
  /** Messages of this level and of more severe ones are written. */
  readonly level: Level;
  readonly format: LogFormat;
  /** Whether lines of text start with the time if standard error is a file. */
  readonly timesInFiles: boolean;
  /**
   * The environment variable `JOURNAL_STREAM`: device and inode of the journal's socket. Child processes inherit it even if
   * their standard error is redirected, so it has to be compared.
   *
   * Source: systemd.exec(5).
   */
  readonly journalStream: string | undefined;
}

let settings: LogSettings = { level: "info", format: "text", timesInFiles: false, journalStream: undefined };
let threshold = LEVELS.indexOf(settings.level);

/** Changes settings; those left out stay as they are. */
export function configureLog(changes: Partial<LogSettings>): void {
  settings = { ...settings, ...changes };
  threshold = LEVELS.indexOf(settings.level);
}

/** The current settings; a new object after each change. */
export function logSettings(): LogSettings {
  return settings;
}

/** Whether messages of this level are written. */
export function isLogged(level: Level): boolean {
  return LEVELS.indexOf(level) <= threshold;
}
