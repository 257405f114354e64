// The arguments of scripts: a mistake ends the script with one message, which names what there is.

import { parseArgs } from "node:util";

/** Prints a message, and exits with 1. */
export function refuse(message) {
  console.error(message);
  process.exit(1);
}

/** Like `parseArgs` of `node:util`. */
export function parseArguments(config) {
  try {
    return parseArgs(config);
  } catch (error) {
    if (!String(error.code).startsWith("ERR_PARSE_ARGS_")) throw error;
    const options = Object.keys(config.options ?? {}).map((name) => `--${name}`);
    const [message] = error.message.split(/\. To specify/);
    return refuse(`${message}; the options are ${options.join(", ")}`);
  }
}

/** Refuses names that are not among `known`. @param what - What they are, "target" say. */
export function refuseUnknown(what, names, known) {
  const unknown = names.filter((name) => !known.includes(name));
  if (unknown.length > 0) refuse(`there is no ${what} ${unknown.join(", ")}, only ${known.join(", ")}`);
}

/** A whole number from 1. @param what - What it is, "--rounds" say. */
export function countOf(what, text) {
  if (!/^[1-9]\d*$/.test(text)) refuse(`${what} takes a whole number from 1, not ${JSON.stringify(text)}`);
  return Number(text);
}
