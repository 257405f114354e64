/**
 * Log messages about the keys of a tunnel.
 */

import { messageOf, SpipedError } from "../errors.js";
import { counted } from "./counted.js";
import type { LogEntry } from "./entry.js";

/** How many names one message lists. */
const MAX_NAMES = 10;

/** How a reload changed the keys of a folder. */
export interface ChangedKeys {
  readonly added: readonly string[];
  readonly removed: readonly string[];
  readonly renamed: readonly (readonly [from: string, to: string])[];
}

/** A key file has been reloaded. */
export function keyReloadedEntry(keyFile: string): LogEntry {
  const message = `SIGHUP: reloaded key file ${keyFile}; new connections use it`;
  return { event: "key-read", level: "info", message, keyFile };
}

/**
 * A key file or a folder of keys cannot be reloaded.
 *
 * @param error - Why; its hint, if any, is logged too.
 * @param isUnclear - Whether a key that was taken away may still be accepted.
 */
export function keyKeptEntry(keyFile: string, error: unknown, kind: "file" | "folder", isUnclear = false): LogEntry {
  const kept = kind === "file" ? "keeping the old key" : "keeping all old keys";
  const level = isUnclear ? "error" : "warning";
  const hint = error instanceof SpipedError ? error.hint : undefined;
  return { event: "key-kept", level, message: `SIGHUP: ${messageOf(error)}; ${kept}`, hint, keyFile };
}

/** One file of a folder cannot be read; the others are. */
export function oneKeyKeptEntry(keyFile: string, problem: string): LogEntry {
  return { event: "key-kept", level: "warning", message: `SIGHUP: ${problem}`, keyFile };
}

/** Something about a reloaded key should be fixed. */
export function keyWarningEntry(keyFile: string, warning: string): LogEntry {
  return { event: "note", level: "warning", message: `SIGHUP: ${warning}`, keyFile };
}

/** The keys of a folder at the start. */
export function keysReadEntry(keyFile: string, names: readonly string[]): LogEntry {
  const message = `read key folder ${keyFile}: ${counted(names.length, "key")}: ${listOf(names)}`;
  return { event: "key-read", level: "info", message, keyFile, keys: names.length, keysAdded: names };
}

/**
 * A folder of keys has been reloaded.
 *
 * @param keys - How many there are.
 * @param ended - Connections that were reset because their keys are gone.
 */
export function keysReloadedEntry(keyFile: string, keys: number, changes: ChangedKeys, ended: number): LogEntry {
  const { added, removed } = changes;
  const renamed = changes.renamed.map(([from, to]) => `${from} to ${to}`);
  const lists = [
    ["added", added],
    ["removed", removed],
    ["renamed", renamed],
  ] as const;
  const changed = lists.filter(([, names]) => names.length > 0).map(([what, names]) => `; ${what} ${listOf(names)}`);
  const reset = ended === 0 ? "" : `; reset ${counted(ended, "connection")}`;
  return {
    event: "key-read",
    level: "info",
    message: `SIGHUP: reloaded key folder ${keyFile}: ${counted(keys, "key")}${changed.length === 0 ? ", unchanged" : changed.join("")}${reset}`,
    keyFile,
    keys,
    keysAdded: added,
    keysRemoved: removed,
    keysRenamed: renamed,
    count: ended,
  };
}

/** Every key of a folder was removed. */
export function noKeyLeftEntry(keyFile: string): LogEntry {
  const message = `SIGHUP: no keys left in ${keyFile}; no client can connect`;
  return { event: "note", level: "warning", message, keyFile };
}

function listOf(names: readonly string[]): string {
  const more = names.length - MAX_NAMES;
  return more <= 0 ? names.join(", ") : `${names.slice(0, MAX_NAMES).join(", ")} and ${more} more`;
}
