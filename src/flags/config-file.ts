/**
 * A configuration file: TOML whose tables are tunnels and whose keys are the long names of flags.
 *
 *     syslog = true                 keys of the process, above all tables
 *     [defaults]                    for every tunnel that does not override them
 *     require-forward-secrecy = true
 *     [decrypt.redis]               a tunnel: its role, and its name
 *     source = "[::]:6380"
 *
 * The files of a folder are read as one. All mistakes are reported together, each with its file and line.
 */

import type { TunnelConfig } from "../config/tunnel-config.js";
import { formatAddress } from "../net/address.js";
import { type ConfigText, type ConfigTexts, readConfigTexts } from "./config-text.js";
import { type Entry, type Place, readTunnelValues, readValues, type Say, type Values } from "./config-values.js";
import type { FlagValues } from "./flags.js";
import type { Mistake, Mistakes } from "./mistakes.js";
import { nearest } from "./suggestions.js";
import { LineSearch, parseToml, SearchBudget, type TomlTable, type TomlValue } from "./toml.js";

/** A tunnel of a file. */
export interface FileTunnel {
  readonly config: TunnelConfig;
  readonly keyFile: string;
}

/** The contents of a valid file. */
export interface FileConfig {
  /** The keys of the process that the file sets. */
  readonly process: Partial<FlagValues<"spiped">>;
  /** At least one, in the order of the file. */
  readonly tunnels: readonly FileTunnel[];
}

/** See the head of this file. */
export type CheckedConfig =
  | { readonly kind: "right"; readonly config: FileConfig }
  /** `count`: the number of all mistakes; `mistakes`: those to report, and a note if there are more. */
  | { readonly kind: "wrong"; readonly mistakes: Mistakes; readonly count: number };

/** The maximum number of mistakes in one report. */
const MAX_MISTAKES = 20;

/** Tunnel names appear in log messages, metrics and file names. */
const NAME = /^[A-Za-z0-9._-]{1,64}$/;

const ROLES = ["encrypt", "decrypt"] as const;
type Role = (typeof ROLES)[number];

/** Reads a file, or the files of a folder, and finds all mistakes. */
export async function checkConfig(path: string): Promise<CheckedConfig> {
  const { texts, mistakes } = await readConfigTexts(path);
  const check = new Check(mistakes);
  for (const text of texts) {
    check.read(text);
    // Lets the event loop serve clients between files.
    await new Promise((resolve) => setImmediate(resolve));
  }
  return check.finish(path);
}

/** Checks files that have been read already. */
export function checkTexts(path: string, { texts, mistakes }: ConfigTexts): CheckedConfig {
  const check = new Check(mistakes);
  for (const text of texts) check.read(text);
  return check.finish(path);
}

/** A tunnel's table. */
interface Table {
  readonly role: Role;
  readonly name: string;
  readonly place: Place;
  readonly entries: readonly Entry[];
}

/** No further tables are checked after this many mistakes. */
const MAX_COUNTED = 1_000;

/** A mistake whose line has not been looked for yet. */
type Found = Omit<Mistake, "line"> & { readonly search: LineSearch | undefined; readonly line?: number | undefined };

class Check {
  readonly #mistakes: Found[];
  readonly #budget = new SearchBudget();
  /** Whether all files could be read and parsed. */
  #isWhole: boolean;
  readonly #process: Entry[] = [];
  readonly #defaults: Entry[] = [];
  readonly #tables: Table[] = [];

  constructor(mistakes: readonly Mistake[]) {
    this.#mistakes = mistakes.map((mistake) => ({ ...mistake, search: undefined }));
    this.#isWhole = mistakes.length === 0;
  }

  read({ path: file, text }: ConfigText): void {
    const parsed = parseToml(text);
    if (parsed.kind === "wrong") {
      this.#mistakes.push({ file, line: parsed.line, path: [], message: parsed.message, search: undefined });
      this.#isWhole = false;
      return;
    }
    const search = new LineSearch(text, this.#budget);
    for (const [key, value] of Object.entries(parsed.table)) this.#readTop(key, value, { file, search, path: [key] });
  }

  #readTop(key: string, value: TomlValue, place: Place): void {
    const role = ROLES.find((one) => one === key);
    if (role === undefined && key !== "defaults") {
      if (isTable(value) || isListOfTables(value)) this.#say(place, () => whatTable(key));
      else this.#process.push({ key, value, place });
    } else if (!isTable(value)) {
      this.#say(
        place,
        isListOfTables(value) ? "write one bracket, not two" : `write [${key === "defaults" ? key : `${key}.NAME`}]`,
      );
    } else if (role === undefined) {
      this.#defaults.push(...entriesOf(value, place));
    } else {
      this.#readTunnels(role, value, place);
    }
  }

  #readTunnels(role: Role, tables: TomlTable, place: Place): void {
    const stray: string[] = [];
    for (const { key: name, value, place: at } of entriesOf(tables, place)) {
      if (isTable(value)) this.#readTunnel(role, name, value, at);
      else if (isListOfTables(value)) this.#say(at, `write [${role}.${name}], with one bracket`);
      else stray.push(name);
    }
    // One mistake, however many keys follow.
    if (stray.length > 0) this.#say(place, `the tunnel has no name; write [${role}.NAME] above ${stray.join(", ")}`);
  }

  #readTunnel(role: Role, name: string, table: TomlTable, place: Place): void {
    const entries = entriesOf(table, place);
    const [inner] = entries;
    if (inner !== undefined && entries.every(({ value }) => isTable(value))) {
      const whole = JSON.stringify(`${name}.${inner.key}`);
      this.#say(inner.place, `a name with a dot stands in quotation marks: [${role}.${whole}]`);
    } else {
      this.#tables.push({ role, name, place, entries });
    }
  }

  finish(path: string): CheckedConfig {
    const say: Say = (place, message) => this.#say(place, message);
    this.#refuseDuplicateKeys(this.#process);
    this.#refuseDuplicateKeys(this.#defaults);
    const process = readValues(this.#process, "process", say);
    const defaults = readValues(this.#defaults, "defaults", say);
    const tunnels = this.#tables.flatMap((table) =>
      this.#mistakes.length < MAX_COUNTED ? (this.#tunnelOf(table, defaults) ?? []) : [],
    );
    if (this.#tables.length === 0 && this.#isWhole && this.#mistakes.length === 0) {
      const message = "there is no tunnel in it; begin one with [encrypt.NAME] or [decrypt.NAME]";
      this.#mistakes.push({ file: path, path: [], message, search: undefined });
    }
    this.#refuseSameNames();
    this.#refuseSameSources(tunnels);
    const [first, ...others] = this.#reported(path);
    if (first !== undefined) return { kind: "wrong", mistakes: [first, ...others], count: this.#mistakes.length };
    return { kind: "right", config: { process, tunnels: tunnels.map(({ tunnel }) => tunnel) } };
  }

  /** The mistakes to report, with their lines. Only these are searched for, because finding a line is slow. */
  #reported(path: string): readonly Mistake[] {
    const all = this.#mistakes;
    const reported = all.slice(0, MAX_MISTAKES).map(({ search, line, ...mistake }) => ({
      ...mistake,
      // A key that is missing, or comes from [defaults], has no line; its table has one.
      line: line ?? search?.lineOf(mistake.path) ?? search?.lineOf(mistake.path.slice(0, -1)),
    }));
    const more = all.length - reported.length;
    const atLeast = all.length < MAX_COUNTED ? "" : "at least ";
    const moreLine = {
      file: path,
      line: undefined,
      path: [],
      message: `and ${atLeast}${more} more; correct these first`,
    };
    return [...sorted(reported), ...(more === 0 ? [] : [moreLine])];
  }

  #tunnelOf(table: Table, defaults: Values): { readonly table: Table; readonly tunnel: FileTunnel } | undefined {
    const { role, name, place } = table;
    if (!NAME.test(name)) {
      this.#say(place, "a name has 1 to 64 letters, digits, dots, hyphens and underscores of ASCII");
    }
    const tunnel = readTunnelValues({ name, role }, table.entries, defaults, place, (at, message) =>
      this.#say(at, message),
    );
    return tunnel && { table, tunnel };
  }

  /** For several files. Within one file, the TOML parser refuses it. */
  #refuseDuplicateKeys(entries: readonly Entry[]): void {
    const seen = new Map<string, Place>();
    for (const { key, place } of entries) {
      const first = seen.get(key);
      if (first === undefined) seen.set(key, place);
      else this.#say(place, `${first.file} has it already`);
    }
  }

  #refuseSameNames(): void {
    const seen = new Map<string, Table>();
    for (const table of this.#tables) {
      const first = seen.get(table.name);
      if (first === undefined) seen.set(table.name, table);
      else if (first.role === table.role)
        this.#say(table.place, `${first.place.file} has a tunnel of this name already`);
      else this.#say(table.place, `there is [${first.role}.${first.name}] already; give each tunnel a name of its own`);
    }
  }

  #refuseSameSources(tunnels: readonly { readonly table: Table; readonly tunnel: FileTunnel }[]): void {
    const seen = new Map<string, Table>();
    for (const { table, tunnel } of tunnels) {
      const { source, target } = tunnel.config;
      const text = formatAddress(source).toLowerCase();
      const place = (key: string) => ({ ...table.place, path: [...table.place.path, key] });
      if (source.kind === "host" && source.service === "0") continue;
      const first = seen.get(text);
      if (first === undefined) seen.set(text, table);
      else this.#say(place("source"), `${first.role}.${first.name} listens on ${formatAddress(source)} already`);
      if (formatAddress(target).toLowerCase() === text) this.#say(place("target"), "it is the tunnel's own source");
    }
  }

  #say({ file, search, path }: Place, message: Parameters<Say>[1]): void {
    const isReported = this.#mistakes.length < MAX_MISTAKES;
    const text = typeof message === "string" ? message : isReported ? message() : "";
    this.#mistakes.push({ file, path, message: text, search });
  }
}

/** By file and line. */
function sorted(mistakes: readonly Mistake[]): readonly Mistake[] {
  const files = [...new Set(mistakes.map(({ file }) => file))].sort();
  const rank = ({ file, line }: Mistake) => [files.indexOf(file), line ?? Number.MAX_SAFE_INTEGER] as const;
  return mistakes
    .map((mistake) => ({ mistake, rank: rank(mistake) }))
    .sort(({ rank: one }, { rank: other }) => one[0] - other[0] || one[1] - other[1])
    .map(({ mistake }) => mistake);
}

function entriesOf(table: TomlTable, place: Place): readonly Entry[] {
  return Object.entries(table).map(([key, value]) => ({ key, value, place: { ...place, path: [...place.path, key] } }));
}

function isTable(value: TomlValue): value is TomlTable {
  return typeof value === "object" && !Array.isArray(value) && !(value instanceof Date);
}

function isListOfTables(value: TomlValue): boolean {
  return Array.isArray(value) && value.length > 0 && value.every(isTable);
}

function whatTable(name: string): string {
  const meant = nearest(name, [...ROLES, "defaults"]);
  if (meant !== undefined) return `unknown table; did you mean ${meant}?`;
  return `a tunnel is [encrypt.${name}] or [decrypt.${name}]`;
}
