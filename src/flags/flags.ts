/**
 * The table of all options. The command line, the environment variables, the keys of a configuration file, `--help`, the
 * man pages and the shell completions are all made from it: to add an option, add a row. The file is as long as the
 * table.
 */

import { DEFAULTS } from "../config/tunnel-config.js";

/** The commands that have options of their own. */
export type CommandName = "spiped" | "spipe" | "spiped keygen" | "spiped key-id";

/** The headings of `--help`, in order. */
export const GROUPS = {
  ends: "Ends and key:",
  secrecy: "Forward secrecy:",
  connections: "Connections:",
  process: "Process:",
  trouble: "Troubleshooting:",
  about: "About:",
} as const;

/** The role of an address, which determines the allowed forms. */
export type AddressUse = "source" | "target" | "bind" | "status";

/** The value that an option takes, and how it is parsed. */
export type FlagValue =
  /** No value: a flag. */
  | { readonly kind: "switch" }
  /** No value: `--no-…` turns off a default. In a file it is the key without `no-`, true or false. */
  | { readonly kind: "negation" }
  | { readonly kind: "text" | "file" | "user" }
  | { readonly kind: "address"; readonly use: AddressUse }
  /** Seconds, with fractions; 0 means the default; `Infinity` is no limit. Parsed to milliseconds. */
  | { readonly kind: "seconds"; readonly defaultMs: number }
  /** 0 means no limit. */
  | { readonly kind: "limit"; readonly most: number; readonly default: number }
  /** At least 1. */
  | { readonly kind: "count"; readonly most: number }
  /** Permissions in octal digits. */
  | { readonly kind: "mode" }
  | { readonly kind: "choice"; readonly choices: readonly string[] }
  /** Prints something and exits. */
  | { readonly kind: "version" | "help" };

/** A row of the table. */
export interface Flag {
  /** Without dashes. The environment variable and the key in a file are named after it. */
  readonly long: string;
  readonly short?: string;
  readonly value: FlagValue;
  /** The name of the value: in angle brackets in `--help`, in capitals elsewhere. */
  readonly argument?: string;
  /** The name in capitals, if it is not simply `argument`. */
  readonly placeholder?: string;
  /** A value, as it is typed in a shell. Hints show it; a required option has one. */
  readonly example?: string;
  /** Its part of the usage line, if that cannot be made from the above. */
  readonly usage?: string;
  /** The command does not work without it. */
  readonly isRequired?: true;
  readonly group: keyof typeof GROUPS;
  /** One line. The man pages may say more. */
  readonly help: string;
  /** Another line for a command in which the option means something else. */
  readonly helpFor?: Partial<Readonly<Record<CommandName, string>>>;
  readonly commands: readonly CommandName[];
  /**
   * Where it goes in a configuration file: in a tunnel's table; above all tables, for the process; or nowhere, because it
   * makes sense on the command line only.
   */
  readonly belongsTo: "tunnel" | "process" | "command line";
}

const MAX_CONNECTIONS = 1_000_000;
const MAX_THREADS = 256;

const SPIPED = ["spiped"] as const;
const SPIPE = ["spipe"] as const;
const BOTH = ["spiped", "spipe"] as const;
const ALL = ["spiped", "spipe", "spiped keygen", "spiped key-id"] as const;

/** In the order of `--help` and the man pages, group by group. */
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
    example: "'[127.0.0.1]:8025'",
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
    example: "far.example:8025",
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
    example: "keyfile",
    isRequired: true,
    group: "ends",
    help: "key file; with -d also a folder with one key per client",
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
    help: "local address of connections to TARGET, the port is optional",
    commands: BOTH,
    belongsTo: "tunnel",
  },
  {
    long: "config",
    value: { kind: "file" },
    argument: "file",
    group: "ends",
    help: "run the tunnels of a TOML file, or of a folder of them, instead of the options above",
    commands: SPIPED,
    belongsTo: "command line",
  },
  {
    long: "source-mode",
    value: { kind: "mode" },
    argument: "mode",
    group: "ends",
    help: "permissions of SOURCE if it is a UNIX socket, such as 0660",
    commands: SPIPED,
    belongsTo: "tunnel",
  },
  {
    long: "without-forward-secrecy",
    short: "f",
    value: { kind: "switch" },
    group: "secrecy",
    help: "disable forward secrecy: less CPU time, less secrecy",
    commands: BOTH,
    belongsTo: "tunnel",
  },
  {
    long: "require-forward-secrecy",
    short: "g",
    value: { kind: "switch" },
    group: "secrecy",
    help: "refuse peers that disable forward secrecy",
    commands: BOTH,
    belongsTo: "tunnel",
  },
  {
    long: "no-keep-alive",
    short: "j",
    value: { kind: "negation" },
    group: "connections",
    help: "disable TCP keep-alive",
    commands: BOTH,
    belongsTo: "tunnel",
  },
  {
    long: "timeout",
    short: "o",
    value: { kind: "seconds", defaultMs: DEFAULTS.timeoutMs },
    argument: "seconds",
    group: "connections",
    help: "timeout for connecting, and again for the handshake",
    commands: BOTH,
    belongsTo: "tunnel",
  },
  {
    long: "no-coalescing",
    value: { kind: "negation" },
    group: "connections",
    help: "do not wait up to 1 ms to batch streams of small messages",
    commands: BOTH,
    // All tunnels share the threads that move packets.
    belongsTo: "process",
  },
  {
    long: "max-connections",
    short: "n",
    value: { kind: "limit", most: MAX_CONNECTIONS, default: DEFAULTS.maxConnections },
    argument: "count",
    placeholder: "MAX",
    group: "connections",
    help: "connection limit, 0 for no limit",
    commands: SPIPED,
    belongsTo: "tunnel",
  },
  {
    long: "resolve-interval",
    short: "r",
    value: { kind: "seconds", defaultMs: DEFAULTS.resolveIntervalMs },
    argument: "seconds",
    group: "connections",
    help: "time between lookups of TARGET",
    commands: SPIPED,
    belongsTo: "tunnel",
  },
  {
    long: "resolve-once",
    short: "R",
    value: { kind: "switch" },
    group: "connections",
    help: "look TARGET up at startup only",
    commands: SPIPED,
    belongsTo: "tunnel",
  },
  {
    long: "proxy-protocol",
    value: { kind: "switch" },
    group: "connections",
    help: "send the service a PROXY header with the client's address",
    commands: SPIPED,
    belongsTo: "tunnel",
  },
  {
    long: "end-with-remote",
    value: { kind: "switch" },
    group: "connections",
    help: "exit when the remote end closes, without waiting for the end of standard input",
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
    help: "become a daemon at once, then retry failed lookups every second",
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
    help: "pid file of the daemon (default: SOURCE.pid in the current folder, or beside a UNIX socket)",
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
    help: "switch to USER[:GROUP] or :GROUP after startup",
    commands: SPIPED,
    belongsTo: "process",
  },
  {
    long: "drain-timeout",
    value: { kind: "seconds", defaultMs: Number.POSITIVE_INFINITY },
    argument: "seconds",
    group: "process",
    help: "after SIGTERM, time until connections that are still open are reset",
    commands: SPIPED,
    belongsTo: "process",
  },
  {
    long: "threads",
    value: { kind: "count", most: MAX_THREADS },
    argument: "count",
    group: "process",
    help: "threads that move packets (default: one per core, at most 4)",
    commands: SPIPED,
    belongsTo: "process",
  },
  {
    long: "status",
    value: { kind: "address", use: "status" },
    argument: "address",
    group: "process",
    help: "serve a status page, /status, /metrics and /healthz over HTTP there",
    commands: SPIPED,
    belongsTo: "process",
  },
  {
    long: "syslog",
    value: { kind: "switch" },
    group: "process",
    help: "log to syslog instead of standard error once started",
    commands: SPIPED,
    belongsTo: "process",
  },
  {
    long: "log-level",
    value: { kind: "choice", choices: ["error", "warning", "info", "debug"] },
    argument: "level",
    group: "process",
    help: "lowest level to log: error, warning, info (the default) or debug",
    commands: SPIPED,
    belongsTo: "process",
  },
  {
    long: "log-format",
    value: { kind: "choice", choices: ["text", "json"] },
    argument: "format",
    group: "process",
    help: "text (the default), or json: one object per event",
    commands: SPIPED,
    belongsTo: "process",
  },
  {
    long: "check",
    value: { kind: "switch" },
    group: "trouble",
    help: "start nothing; check these options step by step, and say what to do",
    commands: SPIPED,
    belongsTo: "command line",
  },
  {
    long: "probe",
    value: { kind: "switch" },
    group: "trouble",
    help: "carry no data; check the way to the service step by step, and say what to do",
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

/** Options that exclude each other. One on the command line overrides the environment variables of the others. */
export interface Contradiction {
  readonly flags: readonly FlagName[];
  /** What to do if several of them are given. */
  readonly hint: string;
  /** One of them is needed. */
  readonly isRequired?: true;
}

/** See {@link Contradiction}. */
export const CONTRADICTIONS: readonly Contradiction[] = [
  {
    flags: ["encrypt", "decrypt"],
    hint: "-e for the end where cleartext comes in, -d for the end next to the service",
    isRequired: true,
  },
  {
    flags: ["without-forward-secrecy", "require-forward-secrecy"],
    hint: "-f disables forward secrecy, and -g requires it",
  },
  {
    flags: ["resolve-interval", "resolve-once"],
    hint: "-r looks TARGET up again and again, and -R at startup only",
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
    : One["value"] extends { readonly kind: "choice"; readonly choices: readonly (infer Choice)[] }
      ? Choice
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

/** The values of a command's options, by the names that commander gives them. */
export type FlagValues<Command extends CommandName> = {
  readonly [One in RowOf<Command> as One["value"] extends HasDefault ? Attribute<One> : never]: Value<One>;
} & {
  readonly [One in RowOf<Command> as One["value"] extends HasDefault ? never : Attribute<One>]?: Value<One>;
};

/** The options of a command, in the order of the table. */
export function flagsOf(command: CommandName): readonly Flag[] {
  return FLAGS.filter((flag: Flag) => flag.commands.includes(command));
}

/** The name of an option's value in {@link FlagValues}. */
export function attributeOf({ long, value }: Flag): string {
  const name = value.kind === "negation" ? long.replace(/^no-/, "") : long;
  return name.replaceAll(/-(.)/g, (_all, letter: string) => letter.toUpperCase());
}

/** The option's key in a configuration file. */
export function keyOf({ long, value }: Flag): string {
  return value.kind === "negation" ? long.replace(/^no-/, "") : long;
}

/** The default of an option. */
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

/** Whether an option has a value other than its default. */
export function isGiven(flag: Flag, values: Readonly<Record<string, unknown>>): boolean {
  const value = values[attributeOf(flag)];
  return value !== undefined && value !== defaultOf(flag);
}

/** The first options in a command's values that exclude each other, and what to do. */
export function contradictionIn(
  command: CommandName,
  values: Readonly<Record<string, unknown>>,
): { readonly flags: readonly Flag[]; readonly hint: string } | undefined {
  const flags = flagsOf(command);
  for (const { flags: names, hint } of CONTRADICTIONS) {
    const given = flags
      .filter(({ long }) => names.some((name) => name === long))
      .filter((flag) => isGiven(flag, values));
    if (given.length > 1) return { flags: given, hint };
  }
  return undefined;
}

/** The environment variable of an option. */
export function variableOf(long: string): string {
  return `SPIPED_${long.replaceAll("-", "_").toUpperCase()}`;
}

/** The name of an option in messages: `-o`, `--threads`. */
export function labelOf({ long, short }: Flag): string {
  return short === undefined ? `--${long}` : `-${short}`;
}

/** The name of an option's value in capitals; undefined if it takes none. */
export function placeholderOf({ placeholder, argument }: Flag): string | undefined {
  return placeholder ?? argument?.toUpperCase();
}

/** Whether an option describes a tunnel, and therefore cannot be combined with `--config`. */
export function isTunnelFlag({ long, belongsTo }: Flag): boolean {
  return belongsTo === "tunnel" || long === "encrypt" || long === "decrypt";
}

/** The options that cannot be combined with this one. */
export function rivalsOf(long: string): readonly string[] {
  const ofTunnel = FLAGS.filter(isTunnelFlag).map((flag) => flag.long);
  if (long === "config") return ofTunnel;
  const flags: readonly string[] = CONTRADICTIONS.find((one) => one.flags.some((name) => name === long))?.flags ?? [];
  return [...flags.filter((name) => name !== long), ...(ofTunnel.some((name) => name === long) ? ["config"] : [])];
}
