/**
 * What a flag's text stands for, wherever it came from: the command line, a variable, or a file. `label` is what a
 * message calls the place: `-o`, or `decrypt.redis.timeout`.
 */

import { SpipedError } from "../errors.js";
import { parseBindAddress, parseLocalAddress, parseSourceAddress, parseTargetAddress } from "../net/address.js";
import type { AddressUse, FlagValue } from "./flags.js";

/** The longest time that a flag takes, in seconds: a week. */
const MAX_SECONDS = 604_800;

/** What makes a value of a text; nothing for those that are their text, and those that have none. */
export function parserOf(value: FlagValue, label: string): ((text: string) => unknown) | undefined {
  switch (value.kind) {
    case "switch":
    case "negation":
    case "text":
    case "file":
    case "user":
    // Stays as it is written until all of a tunnel is there: `ADDRESS_PARSERS`.
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
      return parseChoice(label, value.words);
  }
}

/** What is taken for an address, by its use. */
export const ADDRESS_PARSERS = {
  source: parseSourceAddress,
  target: parseTargetAddress,
  bind: parseBindAddress,
  status: parseLocalAddress,
} as const satisfies Readonly<Record<AddressUse, (text: string) => unknown>>;

/** Parses permissions in octal digits. */
export function parseMode(label: string): (text: string) => number {
  return (text) => {
    if (/^0?[0-7]{1,3}$/.test(text)) return Number.parseInt(text, 8);
    throw new SpipedError("SPIPED_USAGE", `bad permissions for ${label}: ${JSON.stringify(text)}`, {
      hint: "write octal digits, 0660 for the owner and the group",
    });
  };
}

/** Parses a number of seconds; 0 stands for the default. */
export function parseSeconds(label: string, defaultMs: number): (text: string) => number {
  return (text) => {
    const seconds = /^\+?(\d+(\.\d*)?|\.\d+)(e[+-]?\d+)?$/i.test(text) ? Number(text) : Number.NaN;
    if (!(seconds <= MAX_SECONDS)) {
      throw new SpipedError("SPIPED_USAGE", `bad number of seconds for ${label}: ${JSON.stringify(text)}`, {
        hint: `write a number from 0 to ${MAX_SECONDS}; fractions are allowed, 0 stands for the default`,
      });
    }
    // A timer counts whole milliseconds, and 0 of them would be no time at all.
    return seconds === 0 ? defaultMs : Math.max(1, Math.round(seconds * 1_000));
  };
}

/** Parses a count; 0 stands for no limit. */
export function parseLimit(label: string, most: number): (text: string) => number {
  return (text) => {
    const count = /^\+?\d+$/.test(text) ? Number(text) : Number.NaN;
    if (!(count <= most)) {
      throw new SpipedError("SPIPED_USAGE", `bad number for ${label}: ${JSON.stringify(text)}`, {
        hint: `write a whole number from 0 to ${most}; 0 stands for no limit`,
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

/** Parses one of a few words. */
export function parseChoice<Word extends string>(label: string, words: readonly Word[]): (text: string) => Word {
  return (text) => {
    const word = words.find((one) => one === text);
    if (word !== undefined) return word;
    throw new SpipedError("SPIPED_USAGE", `bad word for ${label}: ${JSON.stringify(text)}`, {
      hint: `write one of ${words.join(", ")}`,
    });
  };
}

/** Parses yes or no, as variables have it. */
export function parseYesOrNo(label: string): (text: string) => boolean {
  return (text) => {
    if (["1", "true", "yes"].includes(text)) return true;
    if (["0", "false", "no"].includes(text)) return false;
    throw new SpipedError("SPIPED_USAGE", `bad value of ${label}: ${JSON.stringify(text)}`, {
      hint: "write 1, true or yes; or 0, false or no",
    });
  };
}
