/**
 * The flags that `spiped` and `spipe` share: how their words become values, and what is said of wrong ones.
 */

import { isatty } from "node:tty";
import { Command, CommanderError, Option } from "commander";
import { DEFAULTS } from "../config/tunnel-config.js";
import { SpipedError } from "../errors.js";
import type { ForwardSecrecy } from "../protocol/handshake-steps.js";
import { writeOutput } from "./output.js";
import { version } from "./version.js";

/** The headings of `--help`, in the order in which a reader wants them. */
export const GROUPS = {
  ends: "Ends and key:",
  secrecy: "Forward secrecy:",
  connections: "Connections:",
  process: "Process:",
  about: "About:",
} as const;

/** The width of `--help` where it does not go to a terminal. */
const HELP_COLUMNS = 80;

/** The longest time that a flag takes, in seconds: a week. */
const MAX_SECONDS = 604_800;

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

/** Adds the flags that all commands end with. */
export function addAboutOptions(command: Command): Command {
  return command
    .optionsGroup(GROUPS.about)
    .version(`${command.name()} ${version}`, "-v, --version", "show the version")
    .helpOption("-h, --help", "show this help");
}

/**
 * Parses words.
 *
 * @returns The status to end with where everything has been said, as after `--help`.
 * @throws SpipedError `SPIPED_USAGE` for words that the command does not take.
 */
export function parseWords(command: Command, words: readonly string[]): { readonly exitStatus: number } | undefined {
  refuseRepeated(command);
  try {
    command.parse([...words], { from: "user" });
    return undefined;
  } catch (error) {
    if (!(error instanceof CommanderError)) throw error;
    if (error.exitCode === 0) return { exitStatus: 0 };
    if (error.code === "commander.excessArguments") {
      const leftover = command.args[command.registeredArguments.length] ?? "";
      throw usageError(command, `too many arguments, from ${JSON.stringify(leftover)} on`);
    }
    const [message = ""] = error.message.replace(/^error: /, "").split("\n", 1);
    throw usageError(command, message.replace(/\.$/, ""));
  }
}

/** An error in the command line. */
export function usageError(command: Command, message: string): SpipedError {
  const lower = message.charAt(0).toLowerCase() + message.slice(1);
  return new SpipedError("SPIPED_USAGE", lower, {
    hint: `usage: ${command.name()} ${command.usage()}; ${command.name()} --help explains`,
  });
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

/** The flags that both commands have. */
export interface ConnectionFlags {
  readonly target?: string;
  readonly key?: string;
  readonly bind?: string;
  readonly withoutForwardSecrecy?: true;
  readonly requireForwardSecrecy?: true;
  readonly keepAlive: boolean;
  readonly timeout: number;
  readonly coalescing: boolean;
}

/** Adds the flags that both commands have. */
export function addConnectionOptions(command: Command, whatTargetIs: string): Command {
  return command
    .optionsGroup(GROUPS.ends)
    .option("-t, --target <address>", whatTargetIs)
    .option("-k, --key <file>", "key file")
    .option("-b, --bind <address>", "local address of connections to TARGET, with or without a port")
    .optionsGroup(GROUPS.secrecy)
    .option("-f, --without-forward-secrecy", "give forward secrecy up: less CPU time, less secrecy")
    .option("-g, --require-forward-secrecy", "refuse a peer that gives forward secrecy up")
    .optionsGroup(GROUPS.connections)
    .option("-j, --no-keep-alive", "no TCP keep-alive")
    .addOption(
      new Option("-o, --timeout <seconds>", "time for connecting, and again for the handshake")
        .argParser(parseSeconds("-o", DEFAULTS.timeoutMs))
        .default(DEFAULTS.timeoutMs, String(DEFAULTS.timeoutMs / 1_000)),
    )
    .option("--no-coalescing", "read busy one-way streams of small messages at once, too");
}

/** The value of a flag that has to be there. */
export function required(command: Command, flag: string, value: string | undefined): string {
  if (value === undefined) throw usageError(command, `${flag} is missing`);
  return value;
}

/** Parses permissions in octal digits. */
export function parseMode(flag: string): (text: string) => number {
  return (text) => {
    if (/^0?[0-7]{1,3}$/.test(text)) return Number.parseInt(text, 8);
    throw new SpipedError("SPIPED_USAGE", `bad permissions for ${flag}: ${JSON.stringify(text)}`, {
      hint: "write octal digits, 0660 for the owner and the group",
    });
  };
}

/** Parses a number of seconds; 0 stands for the default. */
export function parseSeconds(flag: string, defaultMs: number): (text: string) => number {
  return (text) => {
    const seconds = /^\+?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?$/i.test(text) ? Number(text) : Number.NaN;
    if (!(seconds <= MAX_SECONDS)) {
      throw new SpipedError("SPIPED_USAGE", `bad number of seconds for ${flag}: ${JSON.stringify(text)}`, {
        hint: `write a number from 0 to ${MAX_SECONDS}; fractions are allowed, 0 stands for the default`,
      });
    }
    // A timer counts whole milliseconds, and 0 of them would be no time at all.
    return seconds === 0 ? defaultMs : Math.max(1, Math.round(seconds * 1_000));
  };
}

/** Parses a count; 0 stands for no limit. */
export function parseLimit(flag: string, most: number): (text: string) => number {
  return (text) => {
    const count = /^\+?\d+$/.test(text) ? Number(text) : Number.NaN;
    if (!(count <= most)) {
      throw new SpipedError("SPIPED_USAGE", `bad number for ${flag}: ${JSON.stringify(text)}`, {
        hint: `write a whole number from 0 to ${most}; 0 stands for no limit`,
      });
    }
    return count === 0 ? Number.POSITIVE_INFINITY : count;
  };
}

/** Parses a count of at least 1. */
export function parseCount(flag: string, most: number): (text: string) => number {
  return (text) => {
    const count = /^\+?\d+$/.test(text) ? Number(text) : Number.NaN;
    if (count >= 1 && count <= most) return count;
    throw new SpipedError("SPIPED_USAGE", `bad number for ${flag}: ${JSON.stringify(text)}`, {
      hint: `write a whole number from 1 to ${most}`,
    });
  };
}

/** Makes one value of `-f` and `-g`. */
export function forwardSecrecyOf(
  command: Command,
  flags: { readonly withoutForwardSecrecy?: true; readonly requireForwardSecrecy?: true },
): ForwardSecrecy {
  if (flags.withoutForwardSecrecy && flags.requireForwardSecrecy) {
    throw usageError(command, "-f gives forward secrecy up and -g demands it; take one of them");
  }
  if (flags.withoutForwardSecrecy) return "off";
  return flags.requireForwardSecrecy ? "require" : "allow";
}
