/**
 * The flags that `spiped` and `spipe` share: how their words become values, and what is said of wrong ones.
 */

import { Command, CommanderError } from "commander";
import { SpipedError } from "../errors.js";
import { type HostAddress, parseBindAddress, type TcpAddress } from "../net/address.js";
import { resolve } from "../net/resolver.js";
import type { ForwardSecrecy } from "../protocol/handshake-steps.js";
import { version } from "./version.js";

/** The longest time that a flag takes, in seconds: a week. */
const MAX_SECONDS = 604_800;

/** How words were understood: the options, or a status to end with, as after `--help`. */
export type Parsed<Options> = { readonly options: Options } | { readonly exitStatus: number };

/**
 * Makes a command with what all of ours have in common.
 *
 * @param name - The program's name.
 * @param usage - Its flags in one line.
 */
export function createCommand(name: string, usage: string): Command {
  return new Command(name)
    .usage(usage)
    .helpOption("-h, --help", "show this help")
    .version(`${name} ${version}`, "-v, --version", "show the version")
    .allowExcessArguments(false)
    .exitOverride()
    .configureOutput({ writeErr: () => undefined });
}

/**
 * Parses words.
 *
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
    throw usageError(command, error.message.replace(/^error: /, "").split("\n", 1)[0] ?? "");
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

/** Looks the address of `-b` up. */
export async function resolveBind(bind: HostAddress | undefined): Promise<readonly TcpAddress[] | undefined> {
  if (bind === undefined) return undefined;
  return (await resolve(bind)).filter((one) => one.kind === "tcp");
}

export { parseBindAddress };
