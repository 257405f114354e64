/**
 * The arguments and environment variables of this process, including bytes that are not UTF-8. Node.js replaces each of
 * those with U+FFFD, and no path with one can be opened; on Linux the bytes can still be read from /proc. They become
 * texts as in `paths.ts`.
 */

import { readFileSync } from "node:fs";
import { messageOf, SpipedError } from "../errors.js";
import { hasBytes, textOfBytes } from "../paths.js";
import { internalValue, isRecord } from "./internal-environment.js";

/** The input of a command. */
export interface RawArguments {
  /** The arguments after the program's name. */
  readonly args: readonly string[];
  /** The environment variables that begin with `SPIPED_`, except internal ones, as they were at startup. */
  readonly variables: Readonly<Record<string, string>>;
}

const FLAG_VARIABLES = /^SPIPED_(?!INTERNAL_)/;

/** Passes arguments that are not UTF-8 to the daemon's second process, in ASCII, because spawning accepts UTF-8 only. */
const HANDED_OVER = "SPIPED_INTERNAL_GIVEN";

let cached: RawArguments | undefined;

/**
 * Reads the arguments and variables of this process. Renaming the process overwrites them, so the first call must come
 * before that; later calls return the same.
 *
 * @throws SpipedError `SPIPED_USAGE` if the bytes cannot be read, or an internal variable has a foreign value.
 */
export function rawArguments(): RawArguments {
  cached ??= handedOver() ?? readRawArguments();
  return cached;
}

/** Variables to add to the environment of the daemon's second process; none if everything is UTF-8. */
export function variablesForDaemon(): Readonly<Record<string, string>> {
  const { args, variables } = rawArguments();
  // JSON writes lone surrogates in ASCII.
  return [...args, ...Object.values(variables)].some(hasBytes)
    ? { [HANDED_OVER]: JSON.stringify({ args, variables }) }
    : {};
}

function handedOver(): RawArguments | undefined {
  const text = process.env[HANDED_OVER];
  delete process.env[HANDED_OVER];
  return text === undefined ? undefined : internalValue(HANDED_OVER, text, isRawArguments);
}

function isRawArguments(value: unknown): value is RawArguments {
  if (!isRecord(value) || !Array.isArray(value["args"]) || !isRecord(value["variables"])) return false;
  return [...value["args"], ...Object.values(value["variables"])].every((one) => typeof one === "string");
}

function readRawArguments(): RawArguments {
  const args = process.argv.slice(2);
  const variables: Record<string, string> = {};
  for (const [name, text = ""] of Object.entries(process.env)) {
    if (FLAG_VARIABLES.test(name)) variables[name] = text;
  }
  if (args.some(isChanged)) {
    args.splice(0, args.length, ...rawTexts("/proc/self/cmdline", args).slice(-args.length));
  }
  const changed = Object.values(variables).filter(isChanged);
  if (changed.length > 0) {
    for (const entry of rawTexts("/proc/self/environ", changed)) {
      const name = entry.slice(0, entry.indexOf("="));
      if (FLAG_VARIABLES.test(name)) variables[name] = entry.slice(name.length + 1);
    }
  }
  return { args, variables };
}

/** Whether Node.js may have replaced bytes of a text. */
function isChanged(text: string): boolean {
  return text.includes("\ufffd");
}

/** The texts of a file that are terminated by zero bytes. */
function rawTexts(path: string, changed: readonly string[]): readonly string[] {
  try {
    return textOfBytes(readFileSync(path)).split("\0").slice(0, -1);
  } catch (cause) {
    const text = changed.find(isChanged) ?? "";
    throw new SpipedError("SPIPED_USAGE", `${JSON.stringify(text)} is not UTF-8: ${messageOf(cause)}`, {
      cause,
      hint: "paths that are not UTF-8 need Linux with /proc mounted; rename the file, or link to it",
    });
  }
}
