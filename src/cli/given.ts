/**
 * The words and variables that this process was given, bytes that are not UTF-8 included: Node.js puts U+FFFD in the
 * place of each, and a path with one leads nowhere. Linux still knows the bytes; they become texts as `paths.ts` has
 * them.
 */

import { readFileSync } from "node:fs";
import { messageOf, SpipedError } from "../errors.js";
import { hasBytes, textOfBytes } from "../paths.js";
import { isRecord, ownValue } from "./own-variables.js";

/** See the head of this file. */
export interface Given {
  /** The words after the program's name. */
  readonly words: readonly string[];
  /** The variables that {@link FLAG_VARIABLES} names, as they were at the start. */
  readonly variables: Readonly<Record<string, string>>;
}

const FLAG_VARIABLES = /^SPIPED_(?!INTERNAL_)/;

/** Hands what is not UTF-8 to the daemon's second process, in ASCII: the words of a start are UTF-8 as well. */
const HANDED_OVER = "SPIPED_INTERNAL_GIVEN";

let given: Given | undefined;

/**
 * What this process was given. Asked first before anything changes how it is shown to others.
 *
 * @throws SpipedError `SPIPED_USAGE` where the system no longer knows the bytes, or somebody else has set a variable of ours.
 */
export function takeGiven(): Given {
  given ??= handedOver() ?? asGiven();
  return given;
}

/** What the second process's environment needs besides our own; nothing where all is UTF-8. */
export function variablesForDaemon(): Readonly<Record<string, string>> {
  const { words, variables } = takeGiven();
  // JSON has lone surrogates in ASCII.
  return [...words, ...Object.values(variables)].some(hasBytes)
    ? { [HANDED_OVER]: JSON.stringify({ words, variables }) }
    : {};
}

function handedOver(): Given | undefined {
  const text = process.env[HANDED_OVER];
  delete process.env[HANDED_OVER];
  return text === undefined ? undefined : ownValue(HANDED_OVER, text, isGiven);
}

function isGiven(value: unknown): value is Given {
  if (!isRecord(value) || !Array.isArray(value["words"]) || !isRecord(value["variables"])) return false;
  return [...value["words"], ...Object.values(value["variables"])].every((one) => typeof one === "string");
}

function asGiven(): Given {
  const words = process.argv.slice(2);
  const variables: Record<string, string> = {};
  for (const [name, text = ""] of Object.entries(process.env)) {
    if (FLAG_VARIABLES.test(name)) variables[name] = text;
  }
  if (words.some(isChanged)) {
    words.splice(0, words.length, ...rawTexts("/proc/self/cmdline", words).slice(-words.length));
  }
  const changed = Object.values(variables).filter(isChanged);
  if (changed.length > 0) {
    for (const entry of rawTexts("/proc/self/environ", changed)) {
      const name = entry.slice(0, entry.indexOf("="));
      if (FLAG_VARIABLES.test(name)) variables[name] = entry.slice(name.length + 1);
    }
  }
  return { words, variables };
}

/** Whether Node.js may have put something else into a text. */
function isChanged(text: string): boolean {
  return text.includes("\ufffd");
}

/** The texts of a file in which a zero byte ends each. */
function rawTexts(path: string, changed: readonly string[]): readonly string[] {
  try {
    return textOfBytes(readFileSync(path)).split("\0").slice(0, -1);
  } catch (cause) {
    const text = changed.find(isChanged) ?? "";
    throw new SpipedError("SPIPED_USAGE", `${JSON.stringify(text)} is not UTF-8: ${messageOf(cause)}`, {
      cause,
      hint: "paths that are not UTF-8 work on Linux only, where /proc is mounted; rename the file, or link to it",
    });
  }
}
