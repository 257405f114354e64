/**
 * Parsers for the values of options, whether they come from the command line, the environment or a file. `label` is the
 * name of the option in messages: `-o`, or `decrypt.redis.timeout`.
 */

import { SpipedError } from "../errors.js";
import type { FlagValue } from "./flags.js";

/** The longest time that an option accepts, in seconds: one week. */
const MAX_SECONDS = 604_800;

/** The parser of a value; undefined if the text itself is the value, or there is no value. */
export function parserOf(value: FlagValue, label: string): ((text: string) => unknown) | undefined {
  switch (value.kind) {
    case "switch":
    case "negation":
    case "text":
    case "file":
    case "user":
    // Parsed together with the rest of the tunnel, by `addresses.ts`.
    case "address":
    case "version":
    case "help":
      return undefined;
    case "seconds":
      return parseSeconds(label, value.defaultMs);
    case "limit":
      return parseLimit(label, value.most);
    case "count":
      return parseCount(label, value.most);
    case "mode":
      return parseMode(label);
    case "choice":
      return parseChoice(label, value.choices);
  }
}

/** Parses permissions in octal digits. */
export function parseMode(label: string): (text: string) => number {
  return (text) => {
    if (/^0?[0-7]{1,3}$/.test(text)) return Number.parseInt(text, 8);
    throw new SpipedError("SPIPED_USAGE", `bad permissions for ${label}: ${JSON.stringify(text)}`, {
      hint: "write octal digits, such as 0660 for the owner and the group",
    });
  };
}

/** Parses a number of seconds into milliseconds; 0 means the default. */
export function parseSeconds(label: string, defaultMs: number): (text: string) => number {
  return (text) => {
    const seconds = /^\+?(\d+(\.\d*)?|\.\d+)(e[+-]?\d+)?$/i.test(text) ? Number(text) : Number.NaN;
    if (!(seconds <= MAX_SECONDS)) {
      throw new SpipedError("SPIPED_USAGE", `bad number of seconds for ${label}: ${JSON.stringify(text)}`, {
        hint: secondsHint(text),
      });
    }
    // Timers have whole milliseconds, and 0 ms would expire at once.
    return seconds === 0 ? defaultMs : Math.max(1, Math.round(seconds * 1_000));
  };
}

function secondsHint(text: string): string {
  const [, number] = /^(\d+(?:\.\d+)?) ?(?:s|sec|secs|seconds?)$/i.exec(text) ?? [];
  if (number !== undefined) return `write the number alone: ${number}`;
  return `write seconds as a number from 0 to ${MAX_SECONDS}, such as 2.5; 0 means the default`;
}

/** Parses a count; 0 means no limit. */
export function parseLimit(label: string, most: number): (text: string) => number {
  return (text) => {
    const count = /^\+?\d+$/.test(text) ? Number(text) : Number.NaN;
    if (!(count <= most)) {
      throw new SpipedError("SPIPED_USAGE", `bad number for ${label}: ${JSON.stringify(text)}`, {
        hint: `write a whole number from 0 to ${most}; 0 means no limit`,
      });
    }
    return count === 0 ? Number.POSITIVE_INFINITY : count;
  };
}

/** Parses a count of at least 1. */
export function parseCount(label: string, most: number): (text: string) => number {
  return (text) => {
    const count = /^\+?\d+$/.test(text) ? Number(text) : Number.NaN;
    if (count >= 1 && count <= most) return count;
    throw new SpipedError("SPIPED_USAGE", `bad number for ${label}: ${JSON.stringify(text)}`, {
      hint: `write a whole number from 1 to ${most}`,
    });
  };
}

/** Parses one of a few choices. */
export function parseChoice<Choice extends string>(
  label: string,
  choices: readonly Choice[],
): (text: string) => Choice {
  return (text) => {
    const choice = choices.find((one) => one === text);
    if (choice !== undefined) return choice;
    throw new SpipedError("SPIPED_USAGE", `bad value for ${label}: ${JSON.stringify(text)}`, {
      hint: `write ${choices.slice(0, -1).join(", ")} or ${choices.at(-1)}`,
    });
  };
}

/** Parses the value of an environment variable for a flag. */
export function parseYesOrNo(label: string): (text: string) => boolean {
  return (text) => {
    if (["1", "true", "yes"].includes(text)) return true;
    if (["0", "false", "no"].includes(text)) return false;
    throw new SpipedError("SPIPED_USAGE", `bad value of ${label}: ${JSON.stringify(text)}`, {
      hint: "write 1, true or yes; or 0, false or no",
    });
  };
}
