// A log that keeps what is written.

import type { Level, LogEntry } from "#dist/observe/entry.js";
import { textLines } from "#dist/observe/format.js";
import { createLog, type Log } from "#dist/observe/log.js";

/** The lines by how bad they are, and all entries; each goes on growing. */
export interface KeptLog {
  readonly log: Log;
  readonly entries: readonly LogEntry[];
  readonly debugs: readonly string[];
  readonly notices: readonly string[];
  readonly warnings: readonly string[];
  readonly errors: readonly string[];
}

export function keptLog(): KeptLog {
  const entries: LogEntry[] = [];
  const lines: Record<Level, string[]> = { error: [], warning: [], info: [], debug: [] };
  const log = createLog({
    write(entry) {
      entries.push(entry);
      lines[entry.level].push(...textLines(entry));
    },
  });
  return { log, entries, debugs: lines.debug, notices: lines.info, warnings: lines.warning, errors: lines.error };
}
