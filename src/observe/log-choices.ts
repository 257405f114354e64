/**
 * What an operator may choose of the log. There is one standard error, and so one choice for a process.
 */

import { LEVELS, type Level } from "./entry.js";

/** How entries are written. */
export const LOG_FORMATS = ["text", "json"] as const;

/** See {@link LOG_FORMATS}. */
export type LogFormat = (typeof LOG_FORMATS)[number];

/** See the head of this file. */
export interface LogChoices {
  /** What is worse, or as bad, is written. */
  readonly level: Level;
  readonly format: LogFormat;
  /** Whether lines of text that go to a file begin with the time. */
  readonly timesInFiles: boolean;
  /**
   * The variable `JOURNAL_STREAM`: the device and the inode of the journal's socket. Whoever was started by a program of a
   * unit may have the variable and another standard error.
   *
   * Source: systemd.exec(5).
   */
  readonly journalStream: string | undefined;
}

let choices: LogChoices = { level: "info", format: "text", timesInFiles: false, journalStream: undefined };
let most = LEVELS.indexOf(choices.level);

/** Makes a choice; what is left out stays as it is. */
export function chooseLog(chosen: Partial<LogChoices>): void {
  choices = { ...choices, ...chosen };
  most = LEVELS.indexOf(choices.level);
}

/** What is chosen now. */
export function logChoices(): LogChoices {
  return choices;
}

/** Whether entries of this level are written. */
export function isLogged(level: Level): boolean {
  return LEVELS.indexOf(level) <= most;
}
