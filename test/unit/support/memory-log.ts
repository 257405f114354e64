// A log in memory.

import type { Level, LogEntry } from "#dist/observe/entry.js";
import { textLines } from "#dist/observe/format.js";
import { createLog, type Log } from "#dist/observe/log.js";

/** The messages by severity, and all entries; the arrays keep growing. */
export interface MemoryLog {
  readonly log: Log;
  readonly entries: readonly LogEntry[];
  readonly debugs: readonly string[];
  readonly notices: readonly string[];
  readonly warnings: readonly string[];
  readonly errors: readonly string[];
}

export function memoryLog(): MemoryLog {
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
