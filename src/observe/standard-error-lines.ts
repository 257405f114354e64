/**
 * Entries as they stand on standard error: for the journal of systemd with their priorities, in a file with the time, since
 * neither has it otherwise; else bare.
 */

import { fstatSync } from "node:fs";
import type { LogEntry } from "./entry.js";
import { jsonOf, type LineStart, textOf } from "./format.js";
import { type LogChoices, logChoices } from "./log-choices.js";

/** What the lines of a program begin with at this moment. */
export function lineStart(program: string): LineStart {
  const choices = logChoices();
  const { toJournal, toFile } = whereItGoes(choices);
  return { program, toJournal, time: toFile && choices.timesInFiles ? new Date() : undefined };
}

/** The lines of an entry, with their line breaks. */
export function standardErrorText(entry: LogEntry, program: string): string {
  const start = lineStart(program);
  return logChoices().format === "json" ? jsonOf(entry, start) : textOf(entry, start);
}

interface Place {
  readonly of: LogChoices;
  readonly toJournal: boolean;
  readonly toFile: boolean;
}

let known: Place | undefined;

/** Asked once for each choice: what standard error is does not change by itself. */
function whereItGoes(choices: LogChoices): Place {
  if (known?.of === choices) return known;
  const status = statusOf();
  const toJournal = status !== undefined && choices.journalStream === `${status.dev}:${status.ino}`;
  known = { of: choices, toJournal, toFile: status?.isFile() === true && !toJournal };
  return known;
}

function statusOf() {
  try {
    return fstatSync(2, { bigint: true });
  } catch {
    // It is closed.
    return undefined;
  }
}
