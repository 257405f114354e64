/**
 * Formats messages for standard error: with a priority for systemd's journal, and with the time for a file, if that is set.
 */

import { fstatSync } from "node:fs";
import type { LogEntry } from "./entry.js";
import { jsonOf, type LineStart, textOf } from "./format.js";
import { type LogSettings, logSettings } from "./log-settings.js";

/** The current prefix of a program's lines. */
export function lineStart(program: string): LineStart {
  const settings = logSettings();
  const { toJournal, toFile } = destinationOf(settings);
  return { program, toJournal, time: toFile && settings.timesInFiles ? new Date() : undefined };
}

/** A message in the configured format, with line breaks. */
export function standardErrorText(entry: LogEntry, program: string): string {
  const start = lineStart(program);
  return logSettings().format === "json" ? jsonOf(entry, start) : textOf(entry, start);
}

interface Destination {
  readonly of: LogSettings;
  readonly toJournal: boolean;
  readonly toFile: boolean;
}

let cached: Destination | undefined;

/** What standard error is; checked again only when the settings change. */
function destinationOf(settings: LogSettings): Destination {
  if (cached?.of === settings) return cached;
  const status = statStandardError();
  const toJournal = status !== undefined && settings.journalStream === `${status.dev}:${status.ino}`;
  cached = { of: settings, toJournal, toFile: status?.isFile() === true && !toJournal };
  return cached;
}

function statStandardError() {
  try {
    return fstatSync(2, { bigint: true });
  } catch {
    // Standard error is closed.
    return undefined;
  }
}
