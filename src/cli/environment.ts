/**
 * Flags from the environment, for containers: `SPIPED_` and the flag's long name in capitals. A flag on the command
 * line wins over its variable, and over the variables that contradict it.
 */

import type { Command, Option } from "commander";
import { SpipedError } from "../errors.js";

/** Flags of which the last word is the command line's: one on it silences the others' variables. */
const CONTRADICTIONS: readonly (readonly string[])[] = [
  ["encrypt", "decrypt"],
  ["without-forward-secrecy", "require-forward-secrecy"],
  ["resolve-interval", "resolve-once"],
];

/** The variable of a flag. */
export function variableOf(option: Option): string {
  return `SPIPED_${(option.long ?? "").replace(/^--/, "").replaceAll("-", "_").toUpperCase()}`;
}

/**
 * Sets the flags that the command line left out from their variables. Called after parsing.
 *
 * @throws SpipedError `SPIPED_USAGE` for a value that the flag does not take.
 */
export function applyEnvironment(command: Command, environment: Readonly<Record<string, string | undefined>>): void {
  for (const option of command.options) {
    const variable = variableOf(option);
    const text = environment[variable];
    if (text === undefined || option.long === "--version" || isSilenced(command, option)) continue;
    const name = option.attributeName();
    if (option.required) {
      command.setOptionValueWithSource(name, parseValue(option, variable, text), "env");
    } else if (parseBoolean(variable, text)) {
      command.setOptionValueWithSource(name, !option.negate, "env");
    }
  }
}

function isSilenced(command: Command, option: Option): boolean {
  const given = (one: Option) => command.getOptionValueSource(one.attributeName()) === "cli";
  if (given(option)) return true;
  const others = CONTRADICTIONS.find((names) => names.includes(option.long?.slice(2) ?? ""));
  return command.options.some((one) => others?.includes(one.long?.slice(2) ?? "") && given(one));
}

function parseBoolean(variable: string, text: string): boolean {
  if (["1", "true", "yes"].includes(text)) return true;
  if (["0", "false", "no"].includes(text)) return false;
  throw new SpipedError("SPIPED_USAGE", `bad value of ${variable}: ${JSON.stringify(text)}`, {
    hint: "write 1, true or yes; or 0, false or no",
  });
}

function parseValue(option: Option, variable: string, text: string): unknown {
  if (option.parseArg === undefined) return text;
  try {
    return option.parseArg(text, undefined);
  } catch (cause) {
    if (!(cause instanceof SpipedError)) throw cause;
    throw new SpipedError("SPIPED_USAGE", `${cause.message} (from ${variable})`, {
      cause,
      ...(cause.hint === undefined ? {} : { hint: cause.hint }),
    });
  }
}
