/**
 * Mistakes in the arguments of a command: what is wrong, and what was probably meant.
 *
 * Checks arguments before commander parses them, because commander accepts too much: `-encrypt` as `-e -n crypt`, and
 * `-k -F` as a key file called `-F`.
 */

import { SpipedError } from "../errors.js";
import { type CommandName, FLAGS, type Flag, flagsOf, labelOf, placeholderOf } from "../flags/flags.js";
import { meantOption, nearest } from "../flags/suggestions.js";

/** What this module needs to know about an option. */
export interface KnownOption {
  /** With dashes, like `short`. */
  readonly long: string;
  readonly short: string | undefined;
  readonly takesValue: boolean;
}

/** The command whose arguments are checked. */
export interface Syntax {
  /** `spiped`, or `spiped keygen`. */
  readonly command: string;
  readonly options: readonly KnownOption[];
  /** The maximum number of arguments that are not options. */
  readonly maxOperands: number;
}

/** The subcommands of `spiped`. */
const SUBCOMMANDS = ["keygen", "key-id"] as const;

/** Other names that people try for them. */
const SUBCOMMAND_ALIASES: Readonly<Record<string, string>> = {
  genkey: "keygen",
  "gen-key": "keygen",
  "key-gen": "keygen",
  keyid: "key-id",
  id: "key-id",
};

/** Commands of other programs, and what to do here instead. */
const OTHER_COMMANDS: Readonly<Record<string, string>> = {
  start: "no command is needed: spiped with its options starts the tunnel",
  run: "no command is needed: spiped with its options starts the tunnel",
  stop: 'stop a daemon by its pid file: kill "$(cat PIDFILE)"',
  restart: 'stop a daemon by its pid file, kill "$(cat PIDFILE)", and start it again',
  reload: 'SIGHUP reloads the keys: kill -HUP "$(cat PIDFILE)"',
  status: "--status ADDRESS serves the status over HTTP",
  check: "write --check, with the options of the tunnel",
  probe: "write spipe --probe -t TARGET -k KEYFILE",
};

/** Dashes that word processors and web pages substitute for `-`. */
const LONG_DASH = /^[\u2010-\u2015\u2212]+/;

const TRUTH_VALUES = ["true", "false", "yes", "no", "on", "off", "1", "0"];

/**
 * Refuses mistakes that can be found without parsing values.
 *
 * @throws SpipedError `SPIPED_USAGE` for the first one, unless help or the version is requested.
 */
export function refuseMistakes(syntax: Syntax, args: readonly string[]): void {
  const found = firstMistake(syntax, args);
  if (found !== undefined) throw found;
}

/** An error in the arguments. The message starts in lower case; the hint says what to do. */
export function usageError(message: string, hint: string): SpipedError {
  return new SpipedError("SPIPED_USAGE", message, { hint });
}

/** Joins names for a sentence: `a, b and c`. */
export function listOf(names: readonly string[], conjunction = "and"): string {
  return names.length < 2 ? names.join("") : `${names.slice(0, -1).join(", ")} ${conjunction} ${names.at(-1)}`;
}

function firstMistake(syntax: Syntax, args: readonly string[]): SpipedError | undefined {
  const seen = new Set<KnownOption>();
  const operands: string[] = [];
  let first: SpipedError | undefined;
  let onlyOperands = false;
  let lastSwitch: string | undefined;
  for (let index = 0; index < args.length; index += 1) {
    const arg = args[index] ?? "";
    const before = lastSwitch;
    lastSwitch = undefined;
    if (onlyOperands || arg === "-" || !arg.startsWith("-")) {
      operands.push(arg);
      if (operands.length > syntax.maxOperands) first ??= unexpected(syntax, args, index, before);
      continue;
    }
    if (arg === "--") {
      onlyOperands = true;
      continue;
    }
    const read = readOption(syntax, arg);
    if (read instanceof SpipedError) {
      first ??= read;
      continue;
    }
    for (const option of read.options) {
      if (["--help", "--version"].includes(option.long)) return undefined;
      if (seen.has(option)) first ??= givenTwice(option);
      seen.add(option);
    }
    const last = read.options.at(-1);
    if (last === undefined) continue;
    if (!last.takesValue) {
      lastSwitch = nameOf(last);
      continue;
    }
    let value = read.value;
    if (value === undefined) {
      index += 1;
      value = args[index];
    }
    first ??= mistakeInValue(syntax, last, value, read.value === undefined);
  }
  return first;
}

interface ReadOption {
  /** One option, or several combined as in `-ej`. */
  readonly options: readonly KnownOption[];
  /** The value of the last one, if it is part of the same argument. */
  readonly value: string | undefined;
}

function readOption(syntax: Syntax, arg: string): ReadOption | SpipedError {
  if (arg.startsWith("--")) {
    const [name = "", ...rest] = arg.split("=");
    const option = syntax.options.find(({ long }) => long === name);
    if (option === undefined) return unknownOption(syntax, name);
    const value = rest.length === 0 ? undefined : rest.join("=");
    if (value !== undefined && !option.takesValue) {
      return usageError(`${name} takes no value, and ${JSON.stringify(value)} is one`, `write ${name} alone`);
    }
    return { options: [option], value };
  }
  const [name = ""] = arg.split("=");
  if (name.length > 2 && syntax.options.some(({ long }) => long === `-${name}`)) {
    return usageError(`${name} has one dash, and long options have two`, `write -${name}`);
  }
  const options: KnownOption[] = [];
  for (let at = 1; at < arg.length; at += 1) {
    const short = `-${arg[at]}`;
    const option = syntax.options.find((one) => one.short === short);
    if (option === undefined) {
      const isCombined = arg.length > 2;
      const long = isCombined ? meantOption(arg.slice(1), longNames(syntax)) : undefined;
      if (long !== undefined) return usageError(`unknown option ${arg}`, `did you mean --${long}?`);
      return unknownOption(syntax, short);
    }
    options.push(option);
    if (!option.takesValue) continue;
    const value = arg.slice(at + 1);
    if (value.startsWith("=")) {
      const rest = quoted(value.slice(1));
      return usageError(`${short} takes its value without =`, `write ${short} ${rest}, or ${option.long}=${rest}`);
    }
    return { options, value: value === "" ? undefined : value };
  }
  return { options, value: undefined };
}

function mistakeInValue(
  { options }: Syntax,
  option: KnownOption,
  value: string | undefined,
  isOwnArgument: boolean,
): SpipedError | undefined {
  const name = nameOf(option);
  const flag = flagOf(option);
  const placeholder = (flag && placeholderOf(flag)) ?? "VALUE";
  const example = flag?.example === undefined ? "" : `, for example ${name} ${flag.example}`;
  if (value === undefined) return usageError(`${name} needs a value`, `write ${name} ${placeholder}${example}`);
  if (value === "") return usageError(`${name} has an empty value`, "is a shell variable unset?");
  if (!isOwnArgument || !options.some(({ short, long }) => value === short || value === long)) return undefined;
  const hint =
    flag?.value.kind === "file"
      ? `write ${name} ${placeholder}; a file of that name is ./${value}`
      : `write ${name} ${placeholder}${example}`;
  return usageError(`${name} needs a value, and ${value} is an option`, hint);
}

function givenTwice(option: KnownOption): SpipedError {
  const name = nameOf(option);
  const isAddress = ["--source", "--target"].includes(option.long);
  const hint = isAddress
    ? "one command line is one tunnel; --config FILE runs several in one process"
    : "leave one of them out";
  return usageError(`${name} is given twice`, hint);
}

function unknownOption(syntax: Syntax, name: string): SpipedError {
  const plain = name.replace(/^-+/, "");
  return usageError(`unknown option ${name}`, hintForOption(syntax, name, plain));
}

function hintForOption(syntax: Syntax, name: string, plain: string): string {
  const { command, options } = syntax;
  const subcommand = SUBCOMMANDS.find((one) => one === plain);
  if (subcommand !== undefined) return `a command has no dashes: spiped ${subcommand} FILE`;
  const isShort = !name.startsWith("--");
  const flag = FLAGS.find((one: Flag) => (isShort ? one.short === plain : one.long === plain));
  if (flag !== undefined && command.includes(" ")) return `${command} takes no options: write ${command} FILE`;
  if (flag?.long === "probe") return "spipe --probe checks the way to a target; spiped has --check";
  if (flag?.long === "check") return "spiped --check checks a tunnel; spipe has --probe";
  if (flag !== undefined) return `${labelOf(flag)} is an option of ${listOf(flag.commands)}, not of ${command}`;
  if (isShort) {
    if (plain === "?") return "did you mean --help?";
    const other = plain === plain.toLowerCase() ? plain.toUpperCase() : plain.toLowerCase();
    const meant = options.find(({ short }) => short === `-${other}`);
    if (meant !== undefined) return `did you mean ${meant.short}, ${meant.long}?`;
  } else {
    if (["daemon", "background", "detach"].includes(plain)) return "it is the default; -F stays in the foreground";
    const long = meantOption(plain, longNames(syntax));
    if (long !== undefined) return `did you mean --${long}?`;
  }
  return `${command} --help lists the options`;
}

/** An argument that is neither an option nor a value. */
function unexpected(
  syntax: Syntax,
  args: readonly string[],
  index: number,
  lastSwitch: string | undefined,
): SpipedError {
  const arg = args[index] ?? "";
  return usageError(`unexpected argument ${JSON.stringify(arg)}`, hintForOperand(syntax, args, index, lastSwitch));
}

function hintForOperand(
  syntax: Syntax,
  args: readonly string[],
  index: number,
  lastSwitch: string | undefined,
): string {
  const arg = args[index] ?? "";
  const { command } = syntax;
  if (arg === "") return "it is empty; is a shell variable unset?";
  if (LONG_DASH.test(arg)) {
    const name = arg.replace(LONG_DASH, "");
    return `the dash is not the one of the keyboard; type ${name.length > 1 ? "--" : "-"}${name} again`;
  }
  if (syntax.maxOperands > 0) return `${command} takes one file`;
  if (lastSwitch !== undefined && TRUTH_VALUES.includes(arg)) return `${lastSwitch} takes no value; write it alone`;
  const subcommand = SUBCOMMAND_ALIASES[arg] ?? nearest(arg, SUBCOMMANDS);
  if (subcommand !== undefined && index === 0) return `did you mean spiped ${subcommand}?`;
  if (subcommand !== undefined) return `write the command first: spiped ${subcommand} FILE`;
  if (/^SPIPED_\w+=/.test(arg)) return "write variables before the command, or use options";
  if (Object.hasOwn(OTHER_COMMANDS, arg)) return OTHER_COMMANDS[arg] ?? "";
  const long = /^[A-Za-z-]{4,}$/.test(arg) ? meantOption(arg, longNames(syntax)) : undefined;
  if (long !== undefined) return `did you mean --${long}?`;
  if (/^\/|:/.test(arg)) {
    const missing = ["-s", "-t"].filter(
      (short) => syntax.options.some((one) => one.short === short) && !args.some((one) => one.startsWith(short)),
    );
    if (missing.length > 0)
      return `did you mean ${listOf(
        missing.map((short) => `${short} ${quoted(arg)}`),
        "or",
      )}?`;
  }
  return `every value follows its option; ${command} --help lists them`;
}

function longNames({ options }: Syntax): readonly string[] {
  return options.map(({ long }) => long.replace(/^--/, ""));
}

function nameOf({ short, long }: KnownOption): string {
  return short ?? long;
}

function flagOf({ long }: KnownOption): Flag | undefined {
  return FLAGS.find((one) => `--${one.long}` === long);
}

/** Quotes a value for a shell if necessary. */
export function quoted(value: string): string {
  return /^[\w@%+=:,./-]+$/.test(value) ? value : `'${value.replaceAll("'", "'\\''")}'`;
}

/** The error if required options are missing. */
export function missingOptions(
  command: CommandName,
  given: Readonly<Record<string, unknown>>,
): SpipedError | undefined {
  const isDecrypting = given["decrypt"] === true;
  const hasRole = given["encrypt"] === true || isDecrypting;
  const role = command === "spiped" && !hasRole ? ["-e or -d"] : [];
  const flags = flagsOf(command).filter(({ isRequired, long }) => isRequired && given[long] === undefined);
  const missing = [...role, ...flags.map((flag) => `${labelOf(flag)} ${placeholderOf(flag)}`)];
  const [first, ...others] = missing;
  if (first === undefined) return undefined;
  const message = `${listOf(missing)} ${others.length === 0 ? "is" : "are"} missing`;
  if (others.length === 0 && role.length > 0) return usageError(message, ROLE_HINT);
  const [flag] = flags;
  if (others.length === 0 && flag !== undefined) {
    if (flag.long === "key") return usageError(message, "make a key with spiped keygen keyfile, and write -k keyfile");
    const help = flag.helpFor?.[command] ?? flag.help;
    const example = (isDecrypting ? DECRYPTING_EXAMPLES[flag.long] : undefined) ?? flag.example;
    return usageError(message, `${help}, for example ${labelOf(flag)} ${example}`);
  }
  return usageError(message, `for example: ${exampleOf(command, isDecrypting)}`);
}

/** The hint for choosing -e or -d. */
export const ROLE_HINT = "-e for the end where cleartext comes in, -d for the end next to the service";

const DECRYPTING_EXAMPLES: Readonly<Record<string, string>> = {
  source: "'[0.0.0.0]:8025'",
  target: "'[127.0.0.1]:25'",
};

function exampleOf(command: CommandName, isDecrypting: boolean): string {
  const flags = flagsOf(command).filter(({ isRequired }) => isRequired);
  const options = flags.map((flag) => {
    const example = (isDecrypting ? DECRYPTING_EXAMPLES[flag.long] : undefined) ?? flag.example;
    return `${labelOf(flag)} ${example}`;
  });
  const role = command === "spiped" ? [isDecrypting ? "-d" : "-e"] : [];
  return [command, ...role, ...options].join(" ");
}
