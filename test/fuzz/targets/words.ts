// Command-line arguments through the flag table, against an independent parser.

import assert from "node:assert/strict";
import type { Command } from "commander";
import { applyEnvironment } from "#dist/cli/environment.js";
import { addFlags, createCommand, parseArguments, refuseContradictions } from "#dist/cli/options.js";
import type { FileTunnel } from "#dist/flags/config-file.js";
import {
  attributeOf,
  type CommandName,
  defaultOf,
  FLAGS,
  type Flag,
  type FlagValues,
  flagsOf,
  variableOf,
} from "#dist/flags/flags.js";
import { type TunnelValues, tunnelConfigOf } from "#dist/flags/tunnel-values.js";
import { usageOf } from "#dist/flags/usage.js";
import { spipedError, type Target, textOf } from "../target.js";
import { isAddressFor } from "./addresses.js";

const commands: readonly CommandName[] = ["spiped", "spipe", "spiped keygen", "spiped key-id"];

export const words: Target = {
  name: "words",
  mostBytes: 128 * 1_024,
  words: [
    ...FLAGS.flatMap((flag: Flag) => [`\0--${flag.long}`, ...(flag.short === undefined ? [] : [`\0-${flag.short}`])]),
    ..."\0 = -- - \0--\0 [::1]:1 /s systemd:x 0 1 1e3 .5 5. 0x10 +1 -1 1e309 604800 604801 660 0660 debug json".split(
      " ",
    ),
    "1".repeat(300),
    "\n",
    "__proto__",
    "ü",
  ],
  run(input) {
    const [name = "spiped", ...args] = textOf(input).split("\0");
    const command = commands.find((one) => one === name) ?? "spiped";
    const parser = commandOf(command);
    const expected = expectedValues(command, args);
    let parsed: ReturnType<typeof parseArguments>;
    try {
      parsed = parseArguments(parser, args);
    } catch (error) {
      const { message, hint } = spipedError(error, "SPIPED_USAGE");
      assert.ok(hint !== undefined, message);
      assert.ok(
        expected === undefined || expected === "prints and exits",
        `refused: ${JSON.stringify(args)}: ${message}`,
      );
      return;
    }
    if (parsed !== undefined) {
      // --help wins, whatever else is wrong.
      assert.equal(parsed.exitStatus, 0);
      assert.ok(
        args.some((arg) => /^-[^-]*[hv]|^--(help|version)$/.test(arg)),
        JSON.stringify(args),
      );
      return;
    }
    assert.ok(expected !== "prints and exits", JSON.stringify(args));
    assert.ok(expected !== undefined, `accepted: ${JSON.stringify(args)}`);
    assert.deepEqual({ ...parser.opts() }, expected);
    if (command === "spiped" && expected["config"] === undefined) tunnelOf(parser, "name");
  },
};

/** A command that prints nothing. */
export function commandOf(name: CommandName): Command {
  const quiet = { writeOut: () => undefined, writeErr: () => undefined };
  return addFlags(createCommand(name, usageOf(name).join(" ")), name).configureOutput(quiet);
}

/** A tunnel from valid arguments. */
export function tunnelOfArguments(name: string, args: readonly string[]): FileTunnel {
  const command = commandOf("spiped");
  assert.equal(parseArguments(command, args), undefined);
  const tunnel = tunnelOf(command, name);
  assert.ok(tunnel !== undefined, `no tunnel of ${JSON.stringify(args)}`);
  return tunnel;
}

function tunnelOf(command: Command, name: string): FileTunnel | undefined {
  try {
    refuseContradictions(command, "spiped");
    const values = command.opts<FlagValues<"spiped">>();
    const both = {
      ...values,
      source: values.source ?? "",
      target: values.target ?? "",
    } satisfies TunnelValues;
    const config = tunnelConfigOf({ name, role: values.encrypt ? "encrypt" : "decrypt" }, both);
    return { config, keyFile: values.key ?? "" };
  } catch (error) {
    const { hint, message } = spipedError(error, "SPIPED_USAGE", "SPIPED_ADDRESS");
    assert.ok(hint !== undefined || message.includes("source-mode"), message);
    return undefined;
  }
}

/** The values of the arguments, by getopt_long's rules; undefined if they are invalid. */
function expectedValues(
  command: CommandName,
  args: readonly string[],
): Readonly<Record<string, unknown>> | undefined | "prints and exits" {
  const flags = flagsOf(command);
  const values: Record<string, unknown> = {};
  for (const flag of flags) if (defaultOf(flag) !== undefined) values[attributeOf(flag)] = defaultOf(flag);
  const seen = new Set<Flag>();
  let exits = false;
  // Stricter than getopt_long: no empty values, and none that is an option.
  const isOption = (text: string | undefined) =>
    flags.some(({ long, short }) => text === `--${long}` || text === `-${short}`);
  const take = (flag: Flag, text: string | undefined): boolean => {
    if (flag.value.kind === "version" || flag.value.kind === "help") exits = true;
    if (exits) return true;
    if (seen.has(flag) || (flag.argument !== undefined && text === "")) return false;
    seen.add(flag);
    const value = flagValueOf(flag, text);
    values[attributeOf(flag)] = value;
    return value !== undefined;
  };
  const queue = [...args];
  for (let arg = queue.shift(); arg !== undefined && !exits; arg = queue.shift()) {
    if (arg === "--") return queue.length === 0 ? values : undefined;
    if (!arg.startsWith("-") || arg === "-") return undefined;
    const [name = ""] = arg.split("=", 1);
    if (flags.some(({ long }) => name === `-${long}`)) return undefined;
    const whole = flags.find(({ long, short }) => arg === `--${long}` || arg === `-${short}`);
    const long = flags.find((flag) => name === `--${flag.long}` && flag.argument !== undefined);
    const short = flags.find((flag) => flag.short === arg[1]);
    if (whole !== undefined) {
      const text = whole.argument === undefined ? undefined : queue.shift();
      if (whole.argument !== undefined && (text === undefined || isOption(text))) return undefined;
      if (!take(whole, text)) return undefined;
    } else if (long !== undefined && arg.startsWith("--")) {
      if (!take(long, arg.slice(name.length + 1))) return undefined;
    } else if (short !== undefined && !arg.startsWith("--")) {
      if (short.argument !== undefined && arg[2] === "=") return undefined;
      if (!take(short, arg.slice(2))) return undefined;
      if (short.argument === undefined) queue.unshift(`-${arg.slice(2)}`);
    } else {
      return undefined;
    }
  }
  return exits ? "prints and exits" : values;
}

/** The value of a flag's text; undefined if the text is not valid for it. */
function flagValueOf({ value }: Flag, text = ""): unknown {
  switch (value.kind) {
    case "switch":
      return true;
    case "negation":
      return false;
    case "version":
    case "help":
      return true;
    case "text":
    case "file":
    case "user":
    case "address":
      return text;
    case "choice":
      return value.choices.includes(text) ? text : undefined;
    case "mode":
      return [...text].every((one) => "01234567".includes(one)) &&
        text.length >= 1 &&
        text.length <= (text.startsWith("0") ? 4 : 3)
        ? Number(`0o${text}`)
        : undefined;
    case "count":
    case "limit": {
      const digits = text.startsWith("+") ? text.slice(1) : text;
      const number = digits !== "" && [...digits].every((one) => one >= "0" && one <= "9") ? Number(digits) : -1;
      if (number < (value.kind === "count" ? 1 : 0) || number > value.most) return undefined;
      return number === 0 ? Number.POSITIVE_INFINITY : number;
    }
    case "seconds": {
      // What JavaScript accepts as a number and spiped does not: signs, blanks, other bases, names.
      const number = text === "" || /[^0-9.eE+-]|^-|^\+\+/.test(text) ? Number.NaN : Number(text);
      if (!(number >= 0 && number <= 604_800)) return undefined;
      return number === 0 ? value.defaultMs : Math.max(1, Math.round(number * 1_000));
    }
  }
}

/** Environment variables, against the arguments that say the same. */
export const environment: Target = {
  name: "environment",
  mostBytes: 128 * 1_024,
  words: [
    ...FLAGS.map((flag: Flag) => `\0${variableOf(flag.long)}=`),
    ..."\0 = yes no 1 0 true false TRUE [::1]:1 /s 5 .5 1e3 660 debug json SPIPED_ \n ü".split(" "),
  ],
  run(input) {
    const entries = textOf(input)
      .split("\0")
      .map((entry) => [entry.slice(0, Math.max(0, entry.indexOf("="))), entry.slice(entry.indexOf("=") + 1)] as const);
    const variables: Readonly<Record<string, string>> = Object.fromEntries(entries);
    for (const name of commands) {
      const parser = commandOf(name);
      const args: string[] = [];
      let isWrong = false;
      for (const flag of flagsOf(name)) {
        const text = variables[variableOf(flag.long)];
        if (text === undefined || !Object.hasOwn(variables, variableOf(flag.long))) continue;
        if (flag.value.kind === "version" || flag.value.kind === "help") continue;
        if (flag.value.kind === "address") {
          const { use } = flag.value;
          if (!isAddressFor(use === "status" ? "local" : use, text)) isWrong = true;
        }
        if (flag.argument !== undefined) args.push(`--${flag.long}=${text}`);
        else if (["1", "true", "yes"].includes(text)) args.push(`--${flag.long}`);
        else if (!["0", "false", "no"].includes(text)) isWrong = true;
      }
      const expected = expectedValues(name, args);
      try {
        applyEnvironment(parser, variables);
      } catch (error) {
        const { message, hint } = spipedError(error, "SPIPED_USAGE", "SPIPED_ADDRESS");
        assert.ok(isWrong || expected === undefined || message.startsWith("unknown variable "), message);
        assert.ok(message.includes("SPIPED_") && hint !== undefined, message);
        continue;
      }
      assert.ok(!isWrong, `accepted: ${JSON.stringify(variables)}`);
      assert.deepEqual({ ...parser.opts() }, expected);
    }
  },
};
