/**
 * Mistakes in the arguments of a command: what is wrong, and what was probably meant.
 *
 * Checks arguments before commander parses them, because commander accepts too much: `-encrypt` as `-e -n crypt`, and
 * `-k -F` as a key file called `-F`.
 */

import { SpipedError } from "../errors.js";
import { FLAGS, type Flag, placeholderOf } from "../flags/flags.js";
import { meantOption } from "../flags/suggestions.js";
import { type KnownOption, longNames, nameOf, type Syntax } from "./command-syntax.js";
import { unexpected, unknownOption } from "./unknown-arguments.js";
import { quoted, usageError } from "./usage-error.js";

/**
 * Refuses mistakes that can be found without parsing values.
 *
 * @throws SpipedError `SPIPED_USAGE` for the first one, unless help or the version is requested.
 */
export function refuseMistakes(syntax: Syntax, args: readonly string[]): void {
  const found = firstMistake(syntax, args);
  if (found !== undefined) throw found;
}

function firstMistake(syntax: Syntax, args: readonly string[]): SpipedError | undefined {
  const seen = new Set<KnownOption>();
  const operands: string[] = [];
  let first: SpipedError | undefined;
  let onlyOperands = false;
  let lastSwitch: string | undefined;
  for (let index = 0; index < args.length; index += 1) {
    const arg = args[index] ?? "";
    const before = lastSwitch;
    lastSwitch = undefined;
    if (onlyOperands || arg === "-" || !arg.startsWith("-")) {
      operands.push(arg);
      if (operands.length > syntax.maxOperands) first ??= unexpected(syntax, args, index, before);
      continue;
    }
    if (arg === "--") {
      onlyOperands = true;
      continue;
    }
    const read = readOption(syntax, arg);
    if (read instanceof SpipedError) {
      first ??= read;
      continue;
    }
    for (const option of read.options) {
      if (["--help", "--version"].includes(option.long)) return undefined;
      if (seen.has(option)) first ??= givenTwice(option);
      seen.add(option);
    }
    const last = read.options.at(-1);
    if (last === undefined) continue;
    if (!last.takesValue) {
      lastSwitch = nameOf(last);
      continue;
    }
    let value = read.value;
    if (value === undefined) {
      index += 1;
      value = args[index];
    }
    first ??= mistakeInValue(syntax, last, value, read.value === undefined);
  }
  return first;
}

interface ReadOption {
  /** One option, or several combined as in `-ej`. */
  readonly options: readonly KnownOption[];
  /** The value of the last one, if it is part of the same argument. */
  readonly value: string | undefined;
}

function readOption(syntax: Syntax, arg: string): ReadOption | SpipedError {
  if (arg.startsWith("--")) {
    const [name = "", ...rest] = arg.split("=");
    const option = syntax.options.find(({ long }) => long === name);
    if (option === undefined) return unknownOption(syntax, name);
    const value = rest.length === 0 ? undefined : rest.join("=");
    if (value !== undefined && !option.takesValue) {
      return usageError(`${name} takes no value, and ${JSON.stringify(value)} is one`, `write ${name} alone`);
    }
    return { options: [option], value };
  }
  const [name = ""] = arg.split("=");
  if (name.length > 2 && syntax.options.some(({ long }) => long === `-${name}`)) {
    return usageError(`${name} has one dash, and long options have two`, `write -${name}`);
  }
  const options: KnownOption[] = [];
  for (let at = 1; at < arg.length; at += 1) {
    const short = `-${arg[at]}`;
    const option = syntax.options.find((one) => one.short === short);
    if (option === undefined) {
      const isCombined = arg.length > 2;
      const long = isCombined ? meantOption(arg.slice(1), longNames(syntax)) : undefined;
      if (long !== undefined) return usageError(`unknown option ${arg}`, `did you mean --${long}?`);
      return unknownOption(syntax, short);
    }
    options.push(option);
    if (!option.takesValue) continue;
    const value = arg.slice(at + 1);
    if (value.startsWith("=")) {
      const rest = quoted(value.slice(1));
      return usageError(`${short} takes its value without =`, `write ${short} ${rest}, or ${option.long}=${rest}`);
    }
    return { options, value: value === "" ? undefined : value };
  }
  return { options, value: undefined };
}

function mistakeInValue(
  { options }: Syntax,
  option: KnownOption,
  value: string | undefined,
  isOwnArgument: boolean,
): SpipedError | undefined {
  const name = nameOf(option);
  const flag = flagOf(option);
  const placeholder = (flag && placeholderOf(flag)) ?? "VALUE";
  const example = flag?.example === undefined ? "" : `, for example ${name} ${flag.example}`;
  if (value === undefined) return usageError(`${name} needs a value`, `write ${name} ${placeholder}${example}`);
  if (value === "") return usageError(`${name} has an empty value`, "is a shell variable unset?");
  if (!isOwnArgument || !options.some(({ short, long }) => value === short || value === long)) return undefined;
  const hint =
    flag?.value.kind === "file"
      ? `write ${name} ${placeholder}; a file of that name is ./${value}`
      : `write ${name} ${placeholder}${example}`;
  return usageError(`${name} needs a value, and ${value} is an option`, hint);
}

function givenTwice(option: KnownOption): SpipedError {
  const name = nameOf(option);
  const isAddress = ["--source", "--target"].includes(option.long);
  const hint = isAddress
    ? "one command line is one tunnel; --config FILE runs several in one process"
    : "leave one of them out";
  return usageError(`${name} is given twice`, hint);
}

function flagOf({ long }: KnownOption): Flag | undefined {
  return FLAGS.find((one) => `--${one.long}` === long);
}
