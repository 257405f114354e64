/**
 * Parses TOML. No other module imports the parser's package. The commands load this module only if there is a configuration
 * file, so it must not import other modules of this project.
 */

import { parse, TomlError } from "smol-toml";

/** A value in a file. */
export type TomlValue = string | number | boolean | Date | readonly TomlValue[] | TomlTable;

/** A table of a file. */
export interface TomlTable {
  readonly [key: string]: TomlValue;
}

/** The result of parsing a text. */
export type ParsedToml =
  | { readonly kind: "table"; readonly table: TomlTable }
  | { readonly kind: "wrong"; readonly line: number | undefined; readonly message: string };

/** How many bytes may be parsed to find the lines of all mistakes in a configuration. */
const SEARCH_BYTES = 4 * 1_024 * 1_024;

/** The bytes that are left. */
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
 * Finds the lines of keys: a key's line is the last one of the shortest beginning of the text that has the key. It asks the
 * parser instead of searching the text, so strings and comments cannot mislead it.
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

  /** The line of a key, from 1; undefined if it is not in the text, or finding it would take too long. */
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

  /** Whether the first `count` lines have the key. Extends them to the end of a value that spans lines. */
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
