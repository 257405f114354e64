/**
 * TOML as a configuration file has it: the one place that knows which package parses it. The commands load it only where
 * there is such a file, so nothing of ours may be imported here.
 */

import { parse, TomlError } from "smol-toml";

/** What a value in a file can be. */
export type TomlValue = string | number | boolean | Date | readonly TomlValue[] | TomlTable;

/** A table of a file. */
export interface TomlTable {
  readonly [key: string]: TomlValue;
}

/** What a text comes to. */
export type ParsedToml =
  | { readonly kind: "table"; readonly table: TomlTable }
  | { readonly kind: "wrong"; readonly line: number | undefined; readonly message: string };

/** Bytes that are parsed at most to find the lines of a configuration's mistakes, however many files it has. */
const SEARCH_BYTES = 4 * 1_024 * 1_024;

/** What is left of them. */
export class SearchBudget {
  bytes = SEARCH_BYTES;
}

/** Parses the text of a file. */
export function parseToml(text: string): ParsedToml {
  try {
    return { kind: "table", table: parse(text) as TomlTable };
  } catch (error) {
    if (!(error instanceof TomlError)) throw error;
    const [message = ""] = error.message.replace(/^Invalid TOML document: /, "").split("\n", 1);
    return {
      kind: "wrong",
      line: error.line,
      message: plain(message, text.split("\n")[error.line - 1] ?? ""),
    };
  }
}

function plain(message: string, line: string): string {
  if (message.includes("redefine")) return "this key, or this table, is there already";
  // To the parser, the line break inside an unclosed string is a control character.
  const isUnclosed =
    message.includes("control characters are not allowed in strings") && !/[^\t\P{Cc}]/u.test(line.trimEnd());
  if (isUnclosed || message.includes("unfinished string")) {
    return "this string does not end: is a closing quote missing?";
  }
  return message.replace(/\.(?: aborting\.)?$/, "");
}

/**
 * Finds the lines where keys stand: the first line up to which the text has the key already. The parser is asked, so that
 * no text that it reads otherwise can mislead.
 */
export class LineSearch {
  readonly #lines: readonly string[];
  readonly #lengthBytes: number;
  readonly #tables = new Map<number, TomlTable | undefined>();
  readonly #budget: SearchBudget;

  constructor(text: string, budget = new SearchBudget()) {
    this.#budget = budget;
    this.#lines = text.split("\n");
    this.#lengthBytes = text.length;
  }

  /** The line of a key, from 1 on; undefined where it is not in the text, or to find it would take too long. */
  lineOf(path: readonly string[]): number | undefined {
    if (path.length === 0 || this.#budget.bytes < 0) return undefined;
    let without = 0;
    let withKey = this.#lines.length;
    if (!this.#hasKey(withKey, path)) return undefined;
    while (withKey - without > 1) {
      const middle = Math.floor((without + withKey) / 2);
      if (this.#hasKey(middle, path)) withKey = middle;
      else without = middle;
    }
    return this.#budget.bytes < 0 ? undefined : withKey;
  }

  /** Whether the first lines, to the end of what begins in them, have the key. */
  #hasKey(count: number, path: readonly string[]): boolean {
    for (let lines = count; lines <= this.#lines.length && this.#budget.bytes >= 0; lines += 1) {
      const table = this.#tableOf(lines);
      if (table !== undefined) return has(table, path);
    }
    return false;
  }

  #tableOf(count: number): TomlTable | undefined {
    if (!this.#tables.has(count)) {
      this.#budget.bytes -= this.#lengthBytes;
      const parsed = this.#budget.bytes < 0 ? undefined : parseToml(`${this.#lines.slice(0, count).join("\n")}\n`);
      this.#tables.set(count, parsed?.kind === "table" ? parsed.table : undefined);
    }
    return this.#tables.get(count);
  }
}

function has(table: TomlTable, path: readonly string[]): boolean {
  let at: unknown = table;
  for (const key of path) {
    if (typeof at !== "object" || at === null || !Object.hasOwn(at, key)) return false;
    at = (at as Readonly<Record<string, unknown>>)[key];
  }
  return true;
}
