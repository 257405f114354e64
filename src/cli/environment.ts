/**
 * Options from the environment, for containers: `SPIPED_` and the long name in capitals. An option on the command line
 * overrides its own variable and those of the options that it excludes.
 */

import type { Command, Option } from "commander";
import { SpipedError } from "../errors.js";
import { parseAddressOption } from "../flags/addresses.js";
import { FLAGS, rivalsOf, variableOf as variableOfFlag } from "../flags/flags.js";
import { meantOption } from "../flags/suggestions.js";
import { parseYesOrNo } from "../flags/values.js";

/** The environment variable of an option. */
export function variableOf(option: Option): string {
  return variableOfFlag(longOf(option));
}

/**
 * Sets the options that are not on the command line from their environment variables. Call it after parsing.
 *
 * @returns Warnings of misspelled variables whose option is on the command line: they change nothing, and may be a script's
 *   own, such as SPIPED_KEYFILE for `-k "$SPIPED_KEYFILE"`, of which there is no warning.
 * @throws SpipedError `SPIPED_USAGE` or `SPIPED_ADDRESS` for a value that the option does not take, and `SPIPED_USAGE` for a
 *   misspelled variable: a tunnel must not start if it ignores SPIPED_REQUIRE_FORWARDSECRECY.
 */
export function applyEnvironment(
  command: Command,
  environment: Readonly<Record<string, string | undefined>>,
): readonly string[] {
  const warnings = refuseMisspelled(command, environment);
  for (const option of command.options) {
    const variable = variableOf(option);
    const text = environment[variable];
    if (text === undefined || option.long === "--version" || isOverridden(command, option)) continue;
    if (text === "")
      throw new SpipedError("SPIPED_USAGE", `${variable} is empty`, { hint: "give it a value, or unset it" });
    const name = option.attributeName();
    if (option.required) {
      command.setOptionValueWithSource(name, parseValue(option, variable, text), "env");
    } else if (parseYesOrNo(variable)(text)) {
      command.setOptionValueWithSource(name, !option.negate, "env");
    }
  }
  return warnings;
}

function isOverridden(command: Command, option: Option): boolean {
  const given = (one: Option) => command.getOptionValueSource(one.attributeName()) === "cli";
  if (given(option)) return true;
  const rivals = rivalsOf(longOf(option));
  return command.options.some((one) => rivals.includes(longOf(one)) && given(one));
}

/**
 * Variables that are not options: those that Kubernetes sets in every pod of a namespace with a service called `spiped` or
 * `spiped-something`, and internal ones.
 */
const NOT_OPTIONS =
  /^SPIPED_(?:INTERNAL_.*|RELAY|(?:.+_)?SERVICE_(?:HOST|PORT)(?:_.+)?|(?:.+_)?PORT(?:_\d+_[A-Z]+(?:_[A-Z]+)?)?)$/;

/** Shorter names resemble too many options, such as SPIPED_BIN and SPIPED_BIND. */
const SHORTEST_MISSPELLED = 5;

function refuseMisspelled(
  command: Command,
  environment: Readonly<Record<string, string | undefined>>,
): readonly string[] {
  const warnings: string[] = [];
  const known = command.options.filter(({ long }) => long !== "--version");
  for (const variable of Object.keys(environment)) {
    const name = /^SPIPED_(.+)$/.exec(variable)?.[1]?.toLowerCase().replaceAll("_", "-") ?? "";
    const isKnown = [...FLAGS.map(({ long }) => long), ...known.map(longOf)].includes(name);
    if (environment[variable] === undefined || isKnown || NOT_OPTIONS.test(variable)) continue;
    if (name.length < SHORTEST_MISSPELLED) continue;
    const meant = meantOption(name, known.map(longOf), { isWhole: true });
    const option = known.find((one) => longOf(one) === meant);
    if (option === undefined) continue;
    const meantVariable = variableOf(option);
    if (!isOverridden(command, option)) {
      const hint = `did you mean ${meantVariable}?`;
      throw new SpipedError("SPIPED_USAGE", `unknown variable ${variable}`, { hint });
    }
    if (String(command.getOptionValue(option.attributeName())) === environment[variable]) continue;
    warnings.push(
      `unknown variable ${variable} is ignored: did you mean ${meantVariable}, which the command line overrides?`,
    );
  }
  return warnings;
}

function longOf({ long }: Option): string {
  return (long ?? "").replace(/^--/, "");
}

function parseValue(option: Option, variable: string, text: string): unknown {
  const flag = FLAGS.find(({ long }) => long === longOf(option));
  try {
    // Addresses are parsed again later, without the variable in the message.
    if (flag?.value.kind === "address") parseAddressOption(flag.value.use, text);
    return option.parseArg === undefined ? text : option.parseArg(text, undefined);
  } catch (cause) {
    if (!(cause instanceof SpipedError)) throw cause;
    throw new SpipedError(cause.code, `${cause.message} (from ${variable})`, {
      cause,
      ...(cause.hint === undefined ? {} : { hint: cause.hint }),
    });
  }
}
