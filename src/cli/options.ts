/**
 * The table of flags as commander takes it: how words become values, and what is said of wrong ones.
 */

import { isatty } from "node:tty";
import { Command, CommanderError, Option } from "commander";
import { SpipedError } from "../errors.js";
import {
  attributeOf,
  type CommandName,
  contradictionIn,
  defaultOf,
  FLAGS,
  type Flag,
  type FlagName,
  flagsOf,
  GROUPS,
  isTunnelWord,
  labelOf,
  placeholderOf,
} from "../flags/flags.js";
import { parserOf } from "../flags/values.js";
import { writeOutput } from "./output.js";
import { version } from "./version.js";

/** The width of `--help` where it does not go to a terminal. */
const HELP_COLUMNS = 80;

/** Half of what commander can take, which has them all on the stack; `spiped key-id keys/*` has many. */
const MOST_WORDS = 50_000;

/**
 * Makes a command with what all of ours have in common but flags.
 *
 * @param name - The program's name.
 * @param usage - Its flags in one line.
 */
export function createCommand(name: string, usage: string): Command {
  return new Command(name)
    .usage(usage)
    .allowExcessArguments(false)
    .exitOverride()
    .configureOutput({
      writeOut: writeOutput,
      writeErr: () => undefined,
      // Commander asks Node.js's streams, which changes the descriptors of a pipe. A terminal can be asked.
      getOutHelpWidth: () => (isatty(1) ? process.stdout.columns : HELP_COLUMNS),
      getErrHelpWidth: () => HELP_COLUMNS,
      getOutHasColors: () => false,
      getErrHasColors: () => false,
    });
}

/** Adds a command's flags, those last that all commands have. */
export function addFlags(command: Command, name: CommandName): Command {
  command.optionsGroup(GROUPS.about);
  for (const flag of flagsOf(name)) addFlag(command, flag, flag.helpFor?.[name] ?? flag.help);
  return command;
}

function addFlag(command: Command, flag: Flag, help: string): void {
  const { long, short, argument, value } = flag;
  const words = `${short === undefined ? "" : `-${short}, `}--${long}${argument === undefined ? "" : ` <${argument}>`}`;
  if (value.kind === "version") command.version(`${command.name()} ${version}`, words, help);
  else if (value.kind === "help") command.helpOption(words, help);
  else command.addOption(optionOf(flag, new Option(words, help)).helpGroup(GROUPS[flag.group]));
}

/**
 * Parses words.
 *
 * @returns The status to end with where everything has been said, as after `--help`.
 * @throws SpipedError `SPIPED_USAGE` for words that the command does not take.
 */
export function parseWords(command: Command, words: readonly string[]): { readonly exitStatus: number } | undefined {
  refuseRepeated(command);
  if (words.length > MOST_WORDS) throw usageError(command, `too many arguments: ${words.length}`);
  try {
    command.parse([...words], { from: "user" });
    return undefined;
  } catch (error) {
    if (!(error instanceof CommanderError)) throw error;
    if (error.exitCode === 0) return { exitStatus: 0 };
    if (error.code === "commander.excessArguments") {
      const leftover = command.args[command.registeredArguments.length] ?? "";
      throw usageError(command, `too many arguments, from ${JSON.stringify(leftover)} on`, words);
    }
    const [message = ""] = error.message.replace(/^error: /, "").split("\n", 1);
    throw usageError(command, message.replace(/\.$/, ""), words);
  }
}

/**
 * An error in the command line.
 *
 * @param words - Those of it, where they have not all become values.
 */
export function usageError(command: Command, message: string, words: readonly string[] = []): SpipedError {
  const lower = message.charAt(0).toLowerCase() + message.slice(1);
  const name = command.name();
  return new SpipedError("SPIPED_USAGE", lower, {
    hint: `usage: ${name} ${usageFor(command, words)}; ${name} --help explains`,
  });
}

/** The way to use it that was meant: the second one is that of `--config`. */
function usageFor(command: Command, words: readonly string[]): string {
  const [onWords = "", ...others] = command.usage().split(`\n       ${command.name()} `);
  const isOnFile =
    command.getOptionValue("config") !== undefined || words.some((word) => /^--config(?:=|$)/.test(word));
  return (isOnFile ? others[0] : undefined) ?? onWords;
}

/** Commander takes the last of repeated flags without a word; here it is a mistake, as in the original. */
function refuseRepeated(command: Command): void {
  for (const option of command.options) {
    let seen = false;
    command.on(`option:${option.name()}`, () => {
      if (seen) throw usageError(command, `${option.flags} is given more than once`);
      seen = true;
    });
  }
}

function optionOf(flag: Flag, option: Option): Option {
  const parse = parserOf(flag.value, labelOf(flag));
  if (parse !== undefined) option.argParser(parse);
  const value = defaultOf(flag);
  if (typeof value !== "number") return option;
  if (flag.value.kind !== "seconds") return option.default(value);
  return option.default(value, Number.isFinite(value) ? String(value / 1_000) : "no limit");
}

/** The value of a flag that has to be there. */
export function required(command: Command, name: FlagName, value: string | undefined): string {
  if (value !== undefined) return value;
  const flag: Flag | undefined = FLAGS.find(({ long }) => long === name);
  throw usageError(command, `${flag && `${labelOf(flag)} ${placeholderOf(flag)}`} is missing`);
}

/** Refuses flags that exclude each other, and a command line without one of those of which one must be there. */
export function refuseContradictions(command: Command, name: CommandName): void {
  if (command.getOptionValue("config") !== undefined) refuseTunnelWords(command, name);
  const message = contradictionIn(name, command.opts());
  if (message !== undefined) throw usageError(command, message);
}

/** What is said of a tunnel beside a file with tunnels would count for none of them, or for all. */
function refuseTunnelWords(command: Command, name: CommandName): void {
  const given = flagsOf(name)
    .filter(isTunnelWord)
    .filter((flag) => !["default", undefined].includes(command.getOptionValueSource(attributeOf(flag))));
  if (given.length === 0) return;
  throw usageError(
    command,
    `--config takes tunnels from a file; write there what ${given.map(labelOf).join(", ")} says`,
  );
}
