/**
 * Converts the keys of a table in a configuration file to option values.
 */

import type { TunnelConfig } from "../config/tunnel-config.js";
import { SpipedError } from "../errors.js";
import { parseAddressOf } from "./addresses.js";
import {
  attributeOf,
  CONTRADICTIONS,
  defaultOf,
  type Flag,
  type FlagValues,
  flagsOf,
  isGiven,
  keyOf,
  rivalsOf,
} from "./flags.js";
import { nearest } from "./suggestions.js";
import type { LineSearch, TomlValue } from "./toml.js";
import { type TunnelHead, tunnelConfigOf } from "./tunnel-values.js";
import { parserOf } from "./values.js";

/** The position of a key or a table in a file. */
export interface Place {
  readonly file: string;
  readonly search: LineSearch;
  readonly path: readonly string[];
}

/** A key of a file. */
export interface Entry {
  readonly key: string;
  readonly value: TomlValue;
  readonly place: Place;
}

/** Values by the names of {@link FlagValues}. */
export type Values = Partial<FlagValues<"spiped">>;

/** Reports a mistake. A message that is slow to make is a function, which is called only if the mistake is reported. */
export type Say = (place: Place, message: string | (() => string)) => void;

/** Where a key is: above all tables, in `[defaults]`, or in a tunnel's table. */
export type Scope = "process" | "defaults" | "tunnel";

const flags = flagsOf("spiped");

/** How many keys of a table are checked for misspellings of a missing one. */
const MAX_GUESSED = 40;

/** Reads the keys of one table. Reports those that are wrong, and leaves them out. */
export function readValues(entries: readonly Entry[], scope: Scope, say: Say): Values {
  const values: Record<string, unknown> = {};
  for (const { key, value, place } of entries) {
    const flag = flags.find((one) => keyOf(one) === key && isAllowed(one, scope));
    if (flag === undefined) {
      say(place, () => whyNot(key, scope));
      continue;
    }
    try {
      values[attributeOf(flag)] = flagValue(flag, value);
    } catch (error) {
      if (!(error instanceof SpipedError)) throw error;
      say(place, error.hint === undefined ? error.message : `${error.message}; ${error.hint}`);
    }
  }
  for (const { flags: names } of CONTRADICTIONS) {
    const [first, second] = flags
      .filter(({ long }) => names.some((one) => one === long))
      .filter((one) => isGiven(one, values));
    const entry = entries.find(({ key }) => second !== undefined && key === keyOf(second));
    if (first !== undefined && entry !== undefined) {
      say(entry.place, `${keyOf(first)} and ${entry.key} exclude each other; take one of them`);
    }
  }
  return values as Values;
}

/**
 * Reads a tunnel's table.
 *
 * @param place - The position of the table.
 * @returns Undefined if the table is not valid; its mistakes have been reported.
 */
export function readTunnelValues(
  head: TunnelHead,
  entries: readonly Entry[],
  defaults: Values,
  place: Place,
  say: Say,
): { readonly config: TunnelConfig; readonly keyFile: string } | undefined {
  let isValid = true;
  const report: Say = (at, message) => {
    isValid = false;
    say(at, message);
  };
  const own = readValues(entries, "tunnel", report);
  const values = { ...optionDefaults(), ...withoutRivals(defaults, own), ...own };
  const { source, target, key } = values;
  for (const flag of flags) {
    if (!flag.isRequired || values[attributeOf(flag) as keyof typeof values] !== undefined) continue;
    // A key that is wrong or misspelled has been reported. Guessing is slow, and a real tunnel has fewer keys than that.
    const isReported =
      entries.some(({ key }) => key === flag.long) ||
      entries.slice(0, MAX_GUESSED).some(({ key }) => meantBy(key, "tunnel") === flag.long);
    if (!isReported) report(place, `${flag.long} is missing`);
  }
  if (!isValid || source === undefined || target === undefined || key === undefined) return undefined;
  try {
    return { config: tunnelConfigOf(head, { ...values, source, target }), keyFile: key };
  } catch (error) {
    if (!(error instanceof SpipedError)) throw error;
    say(place, error.hint === undefined ? error.message : `${error.message}; ${error.hint}`);
    return undefined;
  }
}

/** The defaults of all options. */
function optionDefaults(): FlagValues<"spiped"> {
  return Object.fromEntries(
    flags.flatMap((flag) => (defaultOf(flag) === undefined ? [] : [[attributeOf(flag), defaultOf(flag)]])),
  ) as unknown as FlagValues<"spiped">;
}

/** Drops values of `[defaults]` that contradict the tunnel's own keys. */
function withoutRivals(defaults: Values, own: Values): Values {
  const excluded = flags.filter((flag) => isGiven(flag, own)).flatMap(({ long }) => rivalsOf(long));
  const dropped = flags.filter(({ long }) => excluded.includes(long)).map(attributeOf);
  return Object.fromEntries(Object.entries(defaults).filter(([name]) => !dropped.includes(name)));
}

function isAllowed({ belongsTo, long }: Flag, scope: Scope): boolean {
  switch (scope) {
    case "process":
      return belongsTo === "process";
    case "tunnel":
      return belongsTo === "tunnel";
    case "defaults":
      // Two tunnels cannot listen on the same address.
      return belongsTo === "tunnel" && long !== "source";
  }
}

function keysOf(scope: Scope): readonly string[] {
  return flags.filter((flag) => isAllowed(flag, scope)).map(keyOf);
}

function meantBy(key: string, scope: Scope): string | undefined {
  return nearest(key, keysOf(scope)) ?? nearest(key, flags.map(keyOf));
}

function whyNot(key: string, scope: Scope): string {
  const named = flags.find((flag) => keyOf(flag) === key || flag.long === key || flag.short === key);
  if (named === undefined) {
    const meant = meantBy(key, scope);
    return meant === undefined
      ? `unknown setting; there are ${keysOf(scope).join(", ")}`
      : `unknown setting; did you mean ${meant}?`;
  }
  if (named.short === key && named.belongsTo !== "command line") return `write its long name, ${keyOf(named)}`;
  if (keyOf(named) !== key) return `write ${keyOf(named)} = false`;
  switch (named.belongsTo) {
    case "command line":
      return named.long === "encrypt" || named.long === "decrypt"
        ? `a tunnel is a table: [${key}.NAME]`
        : "it has a meaning on the command line only";
    case "process":
      return "it counts for the whole process; write it above all tables";
    case "tunnel":
      return scope === "defaults"
        ? "it has no default; each tunnel has its own"
        : "it belongs to a tunnel; write it below [encrypt.NAME], [decrypt.NAME] or [defaults]";
  }
}

/**
 * Parses the value of a key.
 *
 * @throws SpipedError if the option does not take it.
 */
function flagValue(flag: Flag, value: TomlValue): unknown {
  const key = keyOf(flag);
  switch (flag.value.kind) {
    case "switch":
      if (typeof value !== "boolean") throw needed("true or false", value);
      return value ? true : undefined;
    case "negation":
      if (typeof value !== "boolean") throw needed("true or false", value);
      return value;
    case "text":
    case "user":
      return textOf(value);
    case "file":
      if (value === "-") throw wrong("standard input has no place in a file; name a file");
      return textOf(value);
    case "address": {
      const text = textOf(value);
      parseAddressOf(flag.value.use, text);
      return text;
    }
    case "mode":
      if (typeof value === "number") throw wrong('write it in quotation marks, "0660" say');
      return parserOf(flag.value, key)?.(textOf(value));
    case "choice":
      return parserOf(flag.value, key)?.(textOf(value));
    case "seconds":
    case "limit":
    case "count":
      if (typeof value !== "number") throw needed("a number", value);
      return parserOf(flag.value, key)?.(String(value));
    case "version":
    case "help":
      throw wrong(`${key} is no key`);
  }
}

function textOf(value: TomlValue): string {
  if (typeof value !== "string") throw needed("a text in quotation marks", value);
  if (value === "") throw wrong("it is empty");
  if (value.includes("\0")) throw wrong("it holds a zero byte");
  return value;
}

function needed(what: string, value: TomlValue): SpipedError {
  return wrong(`${what} is needed, and this is ${kindOf(value)}`);
}

function wrong(message: string): SpipedError {
  return new SpipedError("SPIPED_CONFIG", message);
}

function kindOf(value: TomlValue): string {
  if (typeof value === "string") return "a text";
  if (typeof value === "number") return "a number";
  if (typeof value === "boolean") return "true or false";
  if (value instanceof Date) return "a date";
  return Array.isArray(value) ? "a list" : "a table";
}
