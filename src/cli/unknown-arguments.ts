/**
 * Arguments that a command does not take: what was probably meant.
 */

import type { SpipedError } from "../errors.js";
import { FLAGS, type Flag, labelOf } from "../flags/flags.js";
import { meantOption, nearest } from "../flags/suggestions.js";
import { longNames, type Syntax } from "./command-syntax.js";
import { listOf, quoted, usageError } from "./usage-error.js";

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
  status: 'kill -USR1 "$(cat PIDFILE)" logs the state, and --status ADDRESS serves it over HTTP',
  check: "write --check, with the options of the tunnel",
  probe: "write spipe --probe -t TARGET -k KEYFILE",
};

/** Dashes that word processors and web pages substitute for `-`. */
const LONG_DASH = /^[\u2010-\u2015\u2212]+/;

const TRUTH_VALUES = ["true", "false", "yes", "no", "on", "off", "1", "0"];

/** An option that the command does not have. */
export function unknownOption(syntax: Syntax, name: string): SpipedError {
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
export function unexpected(
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
