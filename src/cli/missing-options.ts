/**
 * Required options that are missing: which, and how a complete command looks.
 */

import type { SpipedError } from "../errors.js";
import { type CommandName, flagsOf, labelOf, placeholderOf } from "../flags/flags.js";
import { listOf, usageError } from "./usage-error.js";

/** The error if required options are missing. */
export function missingOptions(
  command: CommandName,
  given: Readonly<Record<string, unknown>>,
): SpipedError | undefined {
  const isDecrypting = given["decrypt"] === true;
  const hasRole = given["encrypt"] === true || isDecrypting;
  const role = command === "spiped" && !hasRole ? ["-e or -d"] : [];
  const flags = flagsOf(command).filter(({ isRequired, long }) => isRequired && given[long] === undefined);
  const missing = [...role, ...flags.map((flag) => `${labelOf(flag)} ${placeholderOf(flag)}`)];
  const [first, ...others] = missing;
  if (first === undefined) return undefined;
  const message = `${listOf(missing)} ${others.length === 0 ? "is" : "are"} missing`;
  if (others.length === 0 && role.length > 0) return usageError(message, ROLE_HINT);
  const [flag] = flags;
  if (others.length === 0 && flag !== undefined) {
    if (flag.long === "key") return usageError(message, "make a key with spiped keygen keyfile, and write -k keyfile");
    const help = flag.helpFor?.[command] ?? flag.help;
    const example = (isDecrypting ? DECRYPTING_EXAMPLES[flag.long] : undefined) ?? flag.example;
    return usageError(message, `${help}, for example ${labelOf(flag)} ${example}`);
  }
  return usageError(message, `for example: ${exampleOf(command, isDecrypting)}`);
}

/** The hint for choosing -e or -d. */
const ROLE_HINT = "-e for the end where cleartext comes in, -d for the end next to the service";

const DECRYPTING_EXAMPLES: Readonly<Record<string, string>> = {
  source: "'[0.0.0.0]:8025'",
  target: "'[127.0.0.1]:25'",
};

function exampleOf(command: CommandName, isDecrypting: boolean): string {
  const flags = flagsOf(command).filter(({ isRequired }) => isRequired);
  const options = flags.map((flag) => {
    const example = (isDecrypting ? DECRYPTING_EXAMPLES[flag.long] : undefined) ?? flag.example;
    return `${labelOf(flag)} ${example}`;
  });
  const role = command === "spiped" ? [isDecrypting ? "-d" : "-e"] : [];
  return [command, ...role, ...options].join(" ");
}
