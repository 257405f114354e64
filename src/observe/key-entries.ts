/**
 * What becomes of the keys of a tunnel, as entries of the log.
 */

import type { LogEntry } from "./entry.js";

/** Names that are written out in one line. */
const MOST_NAMES = 10;

/** The keys of a folder that was read again, beside those until now. */
export interface ChangedKeys {
  readonly added: readonly string[];
  readonly removed: readonly string[];
  readonly renamed: readonly (readonly [from: string, to: string])[];
}

/** The key is read again. */
export function keyReadEntry(keyFile: string): LogEntry {
  const message = `SIGHUP: read ${keyFile} again; new connections use it`;
  return { event: "key-read", level: "info", message, keyFile };
}

/** The key, or a folder of them, cannot be read again. @param isUnclear - Whether somebody may have been meant to go. */
export function keyKeptEntry(keyFile: string, why: string, kind: "file" | "folder", isUnclear = false): LogEntry {
  const kept = kind === "file" ? "the old key stays" : "the old keys stay, all of them";
  const level = isUnclear ? "error" : "warning";
  return { event: "key-kept", level, message: `SIGHUP: ${why}; ${kept}`, keyFile };
}

/** A file of a folder gives no key; others are read. */
export function oneKeyKeptEntry(keyFile: string, problem: string): LogEntry {
  return { event: "key-kept", level: "warning", message: `SIGHUP: ${problem}`, keyFile };
}

/** The keys of a folder, at the start. */
export function keysReadEntry(keyFile: string, names: readonly string[]): LogEntry {
  const message = `read ${keyFile}: ${counted(names.length)}: ${listOf(names)}`;
  return { event: "key-read", level: "info", message, keyFile, keys: names.length, keysAdded: names };
}

/**
 * The keys of a folder are read again.
 *
 * @param keys - How many there are.
 * @param ended - How many connections were reset, since their keys are gone.
 */
export function keysReadAgainEntry(keyFile: string, keys: number, changes: ChangedKeys, ended: number): LogEntry {
  const { added, removed } = changes;
  const renamed = changes.renamed.map(([from, to]) => `${from} to ${to}`);
  const lists = [
    ["added", added],
    ["removed", removed],
    ["renamed", renamed],
  ] as const;
  const said = lists.filter(([, names]) => names.length > 0).map(([what, names]) => `; ${what} ${listOf(names)}`);
  const reset = ended === 1 ? "; 1 connection was reset" : `; ${ended} connections were reset`;
  const words = said.length === 0 ? ", as before" : `${said.join("")}${ended === 0 ? "" : reset}`;
  return {
    event: "key-read",
    level: "info",
    message: `SIGHUP: read ${keyFile} again: ${counted(keys)}${words}`,
    keyFile,
    keys,
    keysAdded: added,
    keysRemoved: removed,
    keysRenamed: renamed,
    count: ended,
  };
}

/** All keys were taken away. */
export function noKeyLeftEntry(keyFile: string): LogEntry {
  const message = "SIGHUP: no key is left, so nobody can connect";
  return { event: "note", level: "warning", message, keyFile };
}

function listOf(names: readonly string[]): string {
  const more = names.length - MOST_NAMES;
  return more <= 0 ? names.join(", ") : `${names.slice(0, MOST_NAMES).join(", ")} and ${more} more`;
}

function counted(keys: number): string {
  return keys === 1 ? "1 key" : `${keys} keys`;
}
