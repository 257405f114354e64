/**
 * Every flag, once. From this table come the command line, the variables, the keys of a configuration file, `--help`,
 * the terms of the man pages, and what the shells complete. A new flag is a row here.
 */

import { DEFAULTS } from "../config/tunnel-config.js";

/** The commands that have flags of their own. */
export type CommandName = "spiped" | "spipe" | "spiped keygen" | "spiped key-id";

/** The headings of `--help`, in the order in which a reader wants them. */
export const GROUPS = {
  ends: "Ends and key:",
  secrecy: "Forward secrecy:",
  connections: "Connections:",
  process: "Process:",
  trouble: "Where it does not work:",
  about: "About:",
} as const;

/** What an address is for; each use takes other forms. */
export type AddressUse = "source" | "target" | "bind" | "status";

/** What may stand behind a flag, and what becomes of it. */
export type FlagValue =
  /** Nothing: it is there, or it is not. */
  | { readonly kind: "switch" }
  /** Nothing: `--no-…` takes away what is there by default. In a file it is the key without `no-`, true or false. */
  | { readonly kind: "negation" }
  | { readonly kind: "text" | "file" | "user" }
  | { readonly kind: "address"; readonly use: AddressUse }
  /** With fractions; 0 stands for the default, which is `Infinity` where there is no limit. It becomes milliseconds. */
  | { readonly kind: "seconds"; readonly defaultMs: number }
  /** 0 stands for no limit. */
  | { readonly kind: "limit"; readonly most: number; readonly default: number }
  /** At least 1. */
  | { readonly kind: "count"; readonly most: number }
  /** Permissions in octal digits. */
  | { readonly kind: "mode" }
  | { readonly kind: "choice"; readonly words: readonly string[] }
  /** Says something and ends. */
  | { readonly kind: "version" | "help" };

/** A row of the table. */
export interface Flag {
  /** Without its dashes. The variable and the key in a file are named after it. */
  readonly long: string;
  readonly short?: string;
  readonly value: FlagValue;
  /** What stands for the value: in `--help` in angle brackets, elsewhere in capitals. */
  readonly argument?: string;
  /** The capitals, where they say more than `argument`. */
  readonly placeholder?: string;
  /** Its part of the usage line, where that is not made of the above. */
  readonly usage?: string;
  /** Whether the command does not work without it. */
  readonly isRequired?: true;
  readonly group: keyof typeof GROUPS;
  /** One line. Man pages may say more. */
  readonly help: string;
  /** The line of a command for which it means something else. */
  readonly helpFor?: Partial<Readonly<Record<CommandName, string>>>;
  readonly commands: readonly CommandName[];
  /**
   * Where a configuration file has it: in the table of a tunnel; above all tables, where it counts for the process; or
   * nowhere, since it means something on the command line only.
   */
  readonly belongsTo: "tunnel" | "process" | "command line";
}

const MAX_CONNECTIONS = 1_000_000;
const MAX_THREADS = 256;

const SPIPED = ["spiped"] as const;
const SPIPE = ["spipe"] as const;
const BOTH = ["spiped", "spipe"] as const;
const ALL = ["spiped", "spipe", "spiped keygen", "spiped key-id"] as const;

/** In the order of `--help` and the man pages: the groups one after the other. */
export const FLAGS = [
  {
    long: "encrypt",
    short: "e",
    value: { kind: "switch" },
    group: "ends",
    help: "take cleartext at SOURCE, send packets to TARGET",
    commands: SPIPED,
    belongsTo: "command line",
  },
  {
    long: "decrypt",
    short: "d",
    value: { kind: "switch" },
    group: "ends",
    help: "take packets at SOURCE, send cleartext to TARGET",
    commands: SPIPED,
    belongsTo: "command line",
  },
  {
    long: "source",
    short: "s",
    value: { kind: "address", use: "source" },
    argument: "address",
    placeholder: "SOURCE",
    isRequired: true,
    group: "ends",
    help: "where to listen",
    commands: SPIPED,
    belongsTo: "tunnel",
  },
  {
    long: "target",
    short: "t",
    value: { kind: "address", use: "target" },
    argument: "address",
    placeholder: "TARGET",
    isRequired: true,
    group: "ends",
    help: "where to connect",
    helpFor: { spipe: "where to connect: the SOURCE of a spiped -d" },
    commands: BOTH,
    belongsTo: "tunnel",
  },
  {
    long: "key",
    short: "k",
    value: { kind: "file" },
    argument: "file",
    placeholder: "KEYFILE",
    isRequired: true,
    group: "ends",
    help: "key file, or with -d a folder with one for each client",
    helpFor: { spipe: "key file" },
    commands: BOTH,
    belongsTo: "tunnel",
  },
  {
    long: "bind",
    short: "b",
    value: { kind: "address", use: "bind" },
    argument: "address",
    placeholder: "BIND",
    group: "ends",
    help: "local address of connections to TARGET, with or without a port",
    commands: BOTH,
    belongsTo: "tunnel",
  },
  {
    long: "config",
    value: { kind: "file" },
    argument: "file",
    group: "ends",
    help: "tunnels from a TOML file, or a folder of them, instead of the flags above",
    commands: SPIPED,
    belongsTo: "command line",
  },
  {
    long: "source-mode",
    value: { kind: "mode" },
    argument: "mode",
    group: "ends",
    help: "permissions of the file where SOURCE is a UNIX socket, 0660 say",
    commands: SPIPED,
    belongsTo: "tunnel",
  },
  {
    long: "without-forward-secrecy",
    short: "f",
    value: { kind: "switch" },
    group: "secrecy",
    help: "give forward secrecy up: less CPU time, less secrecy",
    commands: BOTH,
    belongsTo: "tunnel",
  },
  {
    long: "require-forward-secrecy",
    short: "g",
    value: { kind: "switch" },
    group: "secrecy",
    help: "refuse a peer that gives forward secrecy up",
    commands: BOTH,
    belongsTo: "tunnel",
  },
  {
    long: "no-keep-alive",
    short: "j",
    value: { kind: "negation" },
    group: "connections",
    help: "no TCP keep-alive",
    commands: BOTH,
    belongsTo: "tunnel",
  },
  {
    long: "timeout",
    short: "o",
    value: { kind: "seconds", defaultMs: DEFAULTS.timeoutMs },
    argument: "seconds",
    group: "connections",
    help: "time for connecting, and again for the handshake",
    commands: BOTH,
    belongsTo: "tunnel",
  },
  {
    long: "no-coalescing",
    value: { kind: "negation" },
    group: "connections",
    help: "read busy one-way streams of small messages at once, too",
    commands: BOTH,
    // The threads that move packets serve all tunnels.
    belongsTo: "process",
  },
  {
    long: "max-connections",
    short: "n",
    value: { kind: "limit", most: MAX_CONNECTIONS, default: DEFAULTS.maxConnections },
    argument: "count",
    placeholder: "MAX",
    group: "connections",
    help: "most connections at once, 0 for no limit",
    commands: SPIPED,
    belongsTo: "tunnel",
  },
  {
    long: "resolve-interval",
    short: "r",
    value: { kind: "seconds", defaultMs: DEFAULTS.resolveIntervalMs },
    argument: "seconds",
    group: "connections",
    help: "time between look-ups of TARGET",
    commands: SPIPED,
    belongsTo: "tunnel",
  },
  {
    long: "resolve-once",
    short: "R",
    value: { kind: "switch" },
    group: "connections",
    help: "look TARGET up at the start only",
    commands: SPIPED,
    belongsTo: "tunnel",
  },
  {
    long: "proxy-protocol",
    value: { kind: "switch" },
    group: "connections",
    help: "tell the service who has connected, by a PROXY header",
    commands: SPIPED,
    belongsTo: "tunnel",
  },
  {
    long: "end-with-remote",
    value: { kind: "switch" },
    group: "connections",
    help: "end when the remote has ended, not only when standard input has too",
    commands: SPIPE,
    belongsTo: "command line",
  },
  {
    long: "foreground",
    short: "F",
    value: { kind: "switch" },
    group: "process",
    help: "stay in the foreground: no daemon, no pid file",
    commands: SPIPED,
    belongsTo: "command line",
  },
  {
    long: "daemonize-first",
    short: "D",
    value: { kind: "switch" },
    group: "process",
    help: "become a daemon at once, then retry failed look-ups each second",
    commands: SPIPED,
    belongsTo: "command line",
  },
  {
    long: "pid-file",
    short: "p",
    value: { kind: "file" },
    argument: "file",
    placeholder: "PIDFILE",
    group: "process",
    help: "pid file of the daemon (default: SOURCE.pid)",
    commands: SPIPED,
    belongsTo: "process",
  },
  {
    long: "user",
    short: "u",
    value: { kind: "user" },
    argument: "user",
    usage: "[-u USER[:GROUP] | -u :GROUP]",
    group: "process",
    help: "USER[:GROUP] or :GROUP to become after the start",
    commands: SPIPED,
    belongsTo: "process",
  },
  {
    long: "drain-timeout",
    value: { kind: "seconds", defaultMs: Number.POSITIVE_INFINITY },
    argument: "seconds",
    group: "process",
    help: "after SIGTERM, time until what is still open is reset",
    commands: SPIPED,
    belongsTo: "process",
  },
  {
    long: "threads",
    value: { kind: "count", most: MAX_THREADS },
    argument: "count",
    group: "process",
    help: "threads that move packets (default: one for each core, at most 4)",
    commands: SPIPED,
    belongsTo: "process",
  },
  {
    long: "status",
    value: { kind: "address", use: "status" },
    argument: "address",
    group: "process",
    help: "answer over HTTP there: a page, /status, /metrics, /healthz",
    commands: SPIPED,
    belongsTo: "process",
  },
  {
    long: "syslog",
    value: { kind: "switch" },
    group: "process",
    help: "after the start, write to the system's log instead of standard error",
    commands: SPIPED,
    belongsTo: "process",
  },
  {
    long: "log-level",
    value: { kind: "choice", words: ["error", "warning", "info", "debug"] },
    argument: "level",
    group: "process",
    help: "least of what is written: error, warning, info (the default) or debug",
    commands: SPIPED,
    belongsTo: "process",
  },
  {
    long: "log-format",
    value: { kind: "choice", words: ["text", "json"] },
    argument: "format",
    group: "process",
    help: "text (the default), or json: an object for each event",
    commands: SPIPED,
    belongsTo: "process",
  },
  {
    long: "check",
    value: { kind: "switch" },
    group: "trouble",
    help: "start nothing; say step by step what would work with these flags, and what to do",
    commands: SPIPED,
    belongsTo: "command line",
  },
  {
    long: "probe",
    value: { kind: "switch" },
    group: "trouble",
    help: "carry nothing; say step by step what works on the way to the service, and what to do",
    commands: SPIPE,
    belongsTo: "command line",
  },
  {
    long: "version",
    short: "v",
    value: { kind: "version" },
    group: "about",
    help: "show the version",
    commands: ALL,
    belongsTo: "command line",
  },
  {
    long: "help",
    short: "h",
    value: { kind: "help" },
    group: "about",
    help: "show this help",
    commands: ALL,
    belongsTo: "command line",
  },
] as const satisfies readonly Flag[];

/** Flags of which one excludes the others. The last word is the command line's: one there silences their variables. */
export interface Contradiction {
  readonly flags: readonly FlagName[];
  /** Said where several of them are given. */
  readonly message: string;
  /** Said where none is, and one must be. */
  readonly missing?: string;
}

/** See {@link Contradiction}. */
export const CONTRADICTIONS: readonly Contradiction[] = [
  {
    flags: ["encrypt", "decrypt"],
    message: "-e and -d exclude each other; take one of them",
    missing: "either -e or -d is needed",
  },
  {
    flags: ["without-forward-secrecy", "require-forward-secrecy"],
    message: "-f gives forward secrecy up and -g demands it; take one of them",
  },
  {
    flags: ["resolve-interval", "resolve-once"],
    message: "-R looks up once and -r again and again; take one of them",
  },
];

type Row = (typeof FLAGS)[number];

/** The long name of a flag. */
export type FlagName = Row["long"];

type CamelCase<Text extends string> = Text extends `${infer Head}-${infer Tail}`
  ? `${Head}${Capitalize<CamelCase<Tail>>}`
  : Text;

type Attribute<One extends Row> = One["value"] extends { readonly kind: "negation" }
  ? One["long"] extends `no-${infer Positive}`
    ? CamelCase<Positive>
    : never
  : CamelCase<One["long"]>;

type Value<One extends Row> = One["value"] extends { readonly kind: "switch" }
  ? true
  : One["value"] extends { readonly kind: "negation" }
    ? boolean
    : One["value"] extends { readonly kind: "choice"; readonly words: readonly (infer Word)[] }
      ? Word
      : One["value"] extends { readonly kind: "text" | "file" | "user" | "address" }
        ? string
        : number;

type RowOf<Command extends CommandName> = Extract<
  Row extends infer One ? (One extends Row ? (Command extends One["commands"][number] ? One : never) : never) : never,
  Row
>;

type HasDefault =
  | { readonly kind: "negation" }
  | { readonly default: number }
  | { readonly kind: "seconds"; readonly defaultMs: number };

/** What the words of a command come to: the values of its flags by name, as commander names them. */
export type FlagValues<Command extends CommandName> = {
  readonly [One in RowOf<Command> as One["value"] extends HasDefault ? Attribute<One> : never]: Value<One>;
} & {
  readonly [One in RowOf<Command> as One["value"] extends HasDefault ? never : Attribute<One>]?: Value<One>;
};

/** The flags of a command, in the order of the table. */
export function flagsOf(command: CommandName): readonly Flag[] {
  return FLAGS.filter((flag: Flag) => flag.commands.includes(command));
}

/** The name of a flag's value, as {@link FlagValues} has it. */
export function attributeOf({ long, value }: Flag): string {
  const words = value.kind === "negation" ? long.replace(/^no-/, "") : long;
  return words.replaceAll(/-(.)/g, (_all, letter: string) => letter.toUpperCase());
}

/** The flag's key in a file: what is there by default is true or false there. */
export function keyOf({ long, value }: Flag): string {
  return value.kind === "negation" ? long.replace(/^no-/, "") : long;
}

/** What a flag's value is where nobody says anything. */
export function defaultOf({ value }: Flag): boolean | number | undefined {
  switch (value.kind) {
    case "negation":
      return true;
    case "seconds":
      return value.defaultMs;
    case "limit":
      return value.default;
    case "switch":
    case "text":
    case "file":
    case "user":
    case "address":
    case "count":
    case "mode":
    case "choice":
    case "version":
    case "help":
      return undefined;
  }
}

/** Whether values say something else than holds anyway. */
export function isGiven(flag: Flag, values: Readonly<Record<string, unknown>>): boolean {
  const value = values[attributeOf(flag)];
  return value !== undefined && value !== defaultOf(flag);
}

/** The first contradiction in a command's values. */
export function contradictionIn(command: CommandName, values: Readonly<Record<string, unknown>>): string | undefined {
  const flags = flagsOf(command);
  for (const { flags: names, message, missing } of CONTRADICTIONS) {
    const own = flags.filter(({ long }) => names.some((name) => name === long));
    const given = own.filter((flag) => isGiven(flag, values));
    if (given.length > 1) return message;
    if (given.length === 0 && own.length > 0 && missing !== undefined && values["config"] === undefined) return missing;
  }
  return undefined;
}

/** The variable of a flag. */
export function variableOf(long: string): string {
  return `SPIPED_${long.replaceAll("-", "_").toUpperCase()}`;
}

/** What messages call a flag: `-o`, `--threads`. */
export function labelOf({ long, short }: Flag): string {
  return short === undefined ? `--${long}` : `-${short}`;
}

/** What stands for a flag's value in capitals; undefined where it has none. */
export function placeholderOf({ placeholder, argument }: Flag): string | undefined {
  return placeholder ?? argument?.toUpperCase();
}

/** Whether a flag says what a tunnel is, which a configuration file says otherwise. */
export function isTunnelWord({ long, belongsTo }: Flag): boolean {
  return belongsTo === "tunnel" || long === "encrypt" || long === "decrypt";
}

/** The flags that cannot be given beside this one. */
export function rivalsOf(long: string): readonly string[] {
  const words = FLAGS.filter(isTunnelWord).map((flag) => flag.long);
  if (long === "config") return words;
  const flags: readonly string[] = CONTRADICTIONS.find((one) => one.flags.some((name) => name === long))?.flags ?? [];
  return [...flags.filter((name) => name !== long), ...(words.some((word) => word === long) ? ["config"] : [])];
}
