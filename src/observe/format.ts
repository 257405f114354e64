/**
 * Formats log messages: as lines of text, or as one JSON object.
 *
 * Messages can contain text from peers and name servers, so control characters are replaced in text and escaped in JSON.
 */

import type { ErrorCode } from "../errors.js";
import { printableBytes } from "../paths.js";
import { KEYS, type Level, type LogEntry } from "./entry.js";

/** The parts that precede the text of a line. */
export interface LineStart {
  /** The program's name. */
  readonly program: string;
  /** Whether the journal reads it, and so parses a `<priority>` at the start of the line. */
  readonly toJournal: boolean;
  /** Undefined to write no time. */
  readonly time: Date | undefined;
}

/** As in syslog(3). */
const JOURNAL_PRIORITIES: Readonly<Record<Level, number>> = { error: 3, warning: 4, info: 6, debug: 7 };

/** A message as text, with line breaks. Indented lines continue the one before and omit the program's name. */
export function textOf(entry: LogEntry, { program, toJournal, time }: LineStart): string {
  const priority = toJournal ? priorityOf(entry.level) : "";
  const stamp = time === undefined ? "" : `${time.toISOString()} `;
  return textLines(entry)
    .map((line) => `${priority}${stamp}${isContinued(line) ? "" : `${program}: `}${line}\n`)
    .join("");
}

/** Errors whose message lists several errors, one a line. In all others, a line break is part of a path. */
const LISTS: readonly ErrorCode[] = ["SPIPED_CONFIG", "SPIPED_ADDON"];

/** The lines of a message, without a prefix and without line breaks. */
export function textLines({ event, code, tunnel, message, hint, stack = [] }: LogEntry): readonly string[] {
  const isList = event === "error" && code !== undefined && LISTS.includes(code);
  const [first = "", ...others] = (isList ? message.split("\n") : [message]).map(printable);
  const named = tunnel === undefined ? first : `${printable(tunnel)}: ${first}`;
  const hinted = hint === undefined ? [] : [`hint: ${printable(hint)}`];
  const below = stack.map((line) => `  ${printable(line)}`);
  // A failed start is read at a terminal, so its hint gets a line of its own. Every other event is one line.
  if (event === "error") return [named, ...others, ...below, ...hinted];
  if (below.length > 0) return [named, ...others, ...below, ...hinted.map((line) => `  ${line}`)];
  return [[named, ...hinted].join("; "), ...others];
}

/** A message as one JSON object, with a line break. */
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
  // Valid in JSON, but terminals and line readers interpret some of these.
  return JSON.stringify(object).replace(/[\u007f-\u009f\u2028\u2029]/g, (one) => `\\u${hexOf(one)}`);
}

const KEY_ENTRIES = Object.entries(KEYS) as ReadonlyArray<readonly [keyof typeof KEYS, string]>;

function jsonValue(name: keyof typeof KEYS, value: NonNullable<LogEntry[keyof typeof KEYS]>): unknown {
  if (typeof value === "number") return name.endsWith("Ms") ? Math.round(value) / 1_000 : value;
  if (typeof value === "string") return cleaned(value);
  return Array.isArray(value) ? value.map((one: string) => cleaned(one)) : value;
}

/** A template for the message about dropped ones, with the placeholders `{lost}`, `{why}` and `{time}`. */
export function lostLine(format: "text" | "json", { program, toJournal, time }: LineStart): string {
  const message = "log messages dropped: {lost} ({why})";
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

/** Replaces control characters, so that the text is safe on a terminal. */
export function printable(text: string): string {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are what must not reach a terminal
  return printableBytes(text).replace(/[\u0000-\u001f\u007f-\u009f]/g, "?");
}

/** Makes a string valid Unicode: bytes that are not UTF-8 are shown as escapes, lone surrogates as U+FFFD. */
function cleaned(text: string): string {
  return printableBytes(text).replace(/\p{Surrogate}/gu, "\ufffd");
}

function hexOf(character: string): string {
  return character.charCodeAt(0).toString(16).padStart(4, "0");
}
