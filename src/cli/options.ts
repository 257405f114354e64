/**
 * The table of options for commander, which parses the arguments and writes `--help`.
 */

import { isatty } from "node:tty";
import { Command, CommanderError, Option } from "commander";
import {
  attributeOf,
  type CommandName,
  contradictionIn,
  defaultOf,
  type Flag,
  flagsOf,
  GROUPS,
  isTunnelFlag,
  labelOf,
} from "../flags/flags.js";
import { parserOf } from "../flags/values.js";
import { refuseMistakes } from "./argument-mistakes.js";
import type { KnownOption } from "./command-syntax.js";
import { missingOptions } from "./missing-options.js";
import { writeOutput } from "./output.js";
import { listOf, usageError } from "./usage-error.js";
import { version } from "./version.js";

/** The width of `--help` if standard output is not a terminal. */
const HELP_COLUMNS = 80;

/** Commander spreads arguments on the stack and takes about twice as many; `spiped key-id keys/*` has many. */
const MAX_ARGUMENTS = 50_000;

/** All commands, for `--help`. */
const COMMANDS = `
Commands:
  spiped                  run one end of a tunnel, as a daemon or in the foreground
  spiped keygen FILE      make a new key file
  spiped key-id FILE...   show ids that are the same where the key is the same
  spipe                   connect standard input and output to a spiped -d
`;

/**
 * Makes a command without options.
 *
 * @param name - The program's name.
 * @param usage - Its options in one line.
 */
export function createCommand(name: string, usage: string): Command {
  return new Command(name)
    .usage(usage)
    .allowExcessArguments(false)
    .exitOverride()
    .configureOutput({
      writeOut: writeOutput,
      writeErr: () => undefined,
      // Commander would ask Node.js's streams, which makes pipes non-blocking. Terminals can be asked.
      getOutHelpWidth: () => (isatty(1) ? process.stdout.columns : HELP_COLUMNS),
      getErrHelpWidth: () => HELP_COLUMNS,
      getOutHasColors: () => false,
      getErrHasColors: () => false,
    })
    .addHelpText("after", COMMANDS);
}

/** Adds a command's options from the table. */
export function addFlags(command: Command, name: CommandName): Command {
  command.optionsGroup(GROUPS.about);
  for (const flag of flagsOf(name)) addFlag(command, flag, flag.helpFor?.[name] ?? flag.help);
  return command;
}

function addFlag(command: Command, flag: Flag, help: string): void {
  const { long, short, argument, value } = flag;
  const syntax = `${short === undefined ? "" : `-${short}, `}--${long}${argument === undefined ? "" : ` <${argument}>`}`;
  if (value.kind === "version") command.version(`${command.name()} ${version}`, syntax, help);
  else if (value.kind === "help") command.helpOption(syntax, help);
  else command.addOption(optionOf(flag, new Option(syntax, help)).helpGroup(GROUPS[flag.group]));
}

/**
 * Parses arguments.
 *
 * @returns The exit status if there is nothing left to do, as after `--help`.
 * @throws SpipedError `SPIPED_USAGE` for arguments that the command does not take.
 */
export function parseArguments(command: Command, args: readonly string[]): { readonly exitStatus: number } | undefined {
  if (args.length > MAX_ARGUMENTS) {
    throw usageError(`too many arguments: ${args.length}`, `${MAX_ARGUMENTS} can be given; name a folder instead`);
  }
  const operands = command.registeredArguments;
  const maxOperands = operands.some(({ variadic }) => variadic) ? MAX_ARGUMENTS : operands.length;
  refuseMistakes({ command: command.name(), options: knownOptions(command), maxOperands }, args);
  try {
    command.parse([...args], { from: "user" });
    return undefined;
  } catch (error) {
    if (!(error instanceof CommanderError)) throw error;
    if (error.exitCode === 0) return { exitStatus: 0 };
    const name = command.name();
    if (error.code === "commander.missingArgument") {
      throw usageError(`${name} needs a file name`, `for example: ${name} keyfile`);
    }
    const [message = ""] = error.message.replace(/^error: /, "").split("\n", 1);
    throw usageError(message.replace(/\.$/, ""), `${name} --help lists the options`);
  }
}

function knownOptions({ options }: Command): readonly KnownOption[] {
  const known = options.map(({ long, short, required }) => ({ long: long ?? "", short, takesValue: required }));
  return [...known, { long: "--help", short: "-h", takesValue: false }];
}

function optionOf(flag: Flag, option: Option): Option {
  const parse = parserOf(flag.value, labelOf(flag));
  if (parse !== undefined) option.argParser(parse);
  const value = defaultOf(flag);
  if (typeof value !== "number") return option;
  if (flag.value.kind !== "seconds") return option.default(value);
  return option.default(value, Number.isFinite(value) ? String(value / 1_000) : "no limit");
}

/**
 * Refuses options that exclude each other, and a command without those that it needs.
 *
 * @throws SpipedError `SPIPED_USAGE`.
 */
export function refuseContradictions(command: Command, name: CommandName): void {
  const hasConfig = command.getOptionValue("config") !== undefined;
  if (hasConfig) refuseTunnelFlags(command, name);
  const contradiction = contradictionIn(name, command.opts());
  if (contradiction !== undefined) {
    const { flags, hint } = contradiction;
    throw usageError(`${listOf(flags.map(labelOf))} exclude each other`, hint);
  }
  const missing = hasConfig ? undefined : missingOptions(name, command.opts());
  if (missing !== undefined) throw missing;
}

/** Beside a file with many tunnels, it would not be clear which one an option of a tunnel is for. */
function refuseTunnelFlags(command: Command, name: CommandName): void {
  const given = flagsOf(name)
    .filter(isTunnelFlag)
    .filter((flag) => !["default", undefined].includes(command.getOptionValueSource(attributeOf(flag))));
  if (given.length === 0) return;
  const hint = "write these in the file, for each tunnel or in [defaults]";
  throw usageError(`--config cannot be combined with ${listOf(given.map(labelOf))}`, hint);
}
