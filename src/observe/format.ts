/**
 * Entries as the text that is written: lines for people, or one JSON object.
 *
 * Whatever a peer or a name server put into an entry, a line stays one line without control characters, and JSON stays
 * JSON.
 */

import type { ErrorCode } from "../errors.js";
import { printableBytes } from "../paths.js";
import { KEYS, type Level, type LogEntry } from "./entry.js";

/** What begins each line. */
export interface LineStart {
  /** The program's name. */
  readonly program: string;
  /** Whether the journal reads it, which takes a priority from the start of a line. */
  readonly toJournal: boolean;
  /** The time to write, where there is one. */
  readonly time: Date | undefined;
}

/** The priorities of syslog(3) that the journal takes. */
const JOURNAL_PRIORITIES: Readonly<Record<Level, number>> = { error: 3, warning: 4, info: 6, debug: 7 };

/** The lines of an entry for people, each with its line break. Indented lines continue the one before and have no name. */
export function textOf(entry: LogEntry, { program, toJournal, time }: LineStart): string {
  const priority = toJournal ? priorityOf(entry.level) : "";
  const stamp = time === undefined ? "" : `${time.toISOString()} `;
  return textLines(entry)
    .map((line) => `${priority}${stamp}${isContinued(line) ? "" : `${program}: `}${line}\n`)
    .join("");
}

/** Errors that say several things, each in a line. In all others, a line break is part of a path that somebody gave. */
const LISTS: readonly ErrorCode[] = ["SPIPED_CONFIG", "SPIPED_ADDON"];

/** The lines of an entry for people, without anything before them. */
export function textLines({ event, code, tunnel, message, hint, stack = [] }: LogEntry): readonly string[] {
  const isList = event === "error" && code !== undefined && LISTS.includes(code);
  const [first = "", ...others] = (isList ? message.split("\n") : [message]).map(printable);
  const named = tunnel === undefined ? first : `${printable(tunnel)}: ${first}`;
  const hinted = hint === undefined ? [] : [`hint: ${printable(hint)}`];
  const below = stack.map((line) => `  ${printable(line)}`);
  // Why a start failed is read at a terminal; of the rest, what is said of one event stays in one line.
  if (event === "error") return [named, ...others, ...below, ...hinted];
  if (below.length > 0) return [named, ...others, ...below, ...hinted.map((line) => `  ${line}`)];
  return [[named, ...hinted].join("; "), ...others];
}

/** An entry as one JSON object, with a line break. */
export function jsonOf(entry: LogEntry, { toJournal, time = new Date() }: Omit<LineStart, "program">): string {
  return `${toJournal ? priorityOf(entry.level) : ""}${jsonObject(entry, time.toISOString())}\n`;
}

function jsonObject(entry: LogEntry, time: string): string {
  const facts: Array<readonly [string, unknown]> = [];
  for (const [name, key] of KEY_ENTRIES) {
    const value = entry[name];
    if (value !== undefined) facts.push([key, jsonValue(name, value)]);
  }
  const object = {
    time,
    level: entry.level,
    event: entry.event,
    message: cleaned(entry.message),
    ...(entry.hint === undefined ? {} : { hint: cleaned(entry.hint) }),
    ...Object.fromEntries(facts),
    ...(entry.stack === undefined ? {} : { stack: entry.stack.map(cleaned) }),
  };
  // JSON may hold these as they are, and terminals and other readers of lines obey some of them.
  return JSON.stringify(object).replace(/[\u007f-\u009f\u2028\u2029]/g, (one) => `\\u${hexOf(one)}`);
}

const KEY_ENTRIES = Object.entries(KEYS) as ReadonlyArray<readonly [keyof typeof KEYS, string]>;

function jsonValue(name: keyof typeof KEYS, value: NonNullable<LogEntry[keyof typeof KEYS]>): unknown {
  if (typeof value === "number") return name.endsWith("Ms") ? Math.round(value) / 1_000 : value;
  if (typeof value === "string") return cleaned(value);
  return Array.isArray(value) ? value.map((one: string) => cleaned(one)) : value;
}

/** A line about lost ones, with `{lost}` for their number and, in JSON, `{time}`. */
export function lostLine(format: "text" | "json", { program, toJournal, time }: LineStart): string {
  const message = "log messages dropped: {lost} (standard error is not read fast enough)";
  const priority = toJournal ? priorityOf("warning") : "";
  if (format === "text") return `${priority}${time === undefined ? "" : "{time} "}${program}: ${message}\n`;
  const object = JSON.stringify({ time: "{time}", level: "warning", event: "lines-lost", count: "{lost}", message });
  return `${priority}${object.replace('"count":"{lost}"', '"count":{lost}')}\n`;
}

function priorityOf(level: Level): string {
  return `<${JOURNAL_PRIORITIES[level]}>`;
}

function isContinued(line: string): boolean {
  return line.startsWith("  ");
}

/** The text as it may reach a terminal. */
export function printable(text: string): string {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are what must not reach a terminal
  return printableBytes(text).replace(/[\u0000-\u001f\u007f-\u009f]/g, "?");
}

/** The text as it may stand in JSON: what no UTF-8 can mean is shown, not written. */
function cleaned(text: string): string {
  return printableBytes(text).replace(/\p{Surrogate}/gu, "\ufffd");
}

function hexOf(character: string): string {
  return character.charCodeAt(0).toString(16).padStart(4, "0");
}
