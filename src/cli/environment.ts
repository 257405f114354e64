/**
 * Flags from the environment, for containers: `SPIPED_` and the flag's long name in capitals. A flag on the command
 * line wins over its variable, and over the variables that contradict it.
 */

import type { Command, Option } from "commander";
import { SpipedError } from "../errors.js";
import { rivalsOf, variableOf as variableOfFlag } from "../flags/flags.js";
import { parseYesOrNo } from "../flags/values.js";

/** The variable of a flag. */
export function variableOf(option: Option): string {
  return variableOfFlag(longOf(option));
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
    } else if (parseYesOrNo(variable)(text)) {
      command.setOptionValueWithSource(name, !option.negate, "env");
    }
  }
}

function isSilenced(command: Command, option: Option): boolean {
  const given = (one: Option) => command.getOptionValueSource(one.attributeName()) === "cli";
  if (given(option)) return true;
  const rivals = rivalsOf(longOf(option));
  return command.options.some((one) => rivals.includes(longOf(one)) && given(one));
}

function longOf({ long }: Option): string {
  return (long ?? "").replace(/^--/, "");
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
