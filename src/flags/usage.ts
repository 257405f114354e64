/**
 * The usage lines of a command: required options first, then flags in one bracket, then the rest by letter.
 */

import { CONTRADICTIONS, type CommandName, type Flag, flagsOf, isTunnelFlag, labelOf, placeholderOf } from "./flags.js";

/** The usage of a command as `--help` has it, which lists the other options below. */
export function shortUsageOf(command: CommandName): readonly string[] {
  const flags = flagsOf(command).filter(({ group }) => group !== "about");
  const config = flags.find(({ long }) => long === "config");
  const required = partsOf(flags.filter(({ long, isRequired }) => isRequired || isInRequiredGroup(long)));
  return [[...required, "[options]"].join(" "), ...(config === undefined ? [] : [`${written(config)} [options]`])];
}

/** The usage of a command, one line for each way to use it. */
export function usageOf(command: CommandName): readonly string[] {
  return usageParts(command).map((parts) => parts.join(" "));
}

/** The same, split where lines may wrap. */
export function usageParts(command: CommandName): readonly (readonly string[])[] {
  const flags = flagsOf(command).filter(({ group }) => group !== "about");
  const config = flags.find(({ long }) => long === "config");
  const withoutConfig = partsOf(flags.filter((flag) => flag !== config));
  if (config === undefined) return [withoutConfig];
  const others = flags.filter((flag) => flag !== config && !isTunnelFlag(flag));
  return [withoutConfig, [written(config), ...partsOf(others)]];
}

function partsOf(flags: readonly Flag[]): readonly string[] {
  const groups = CONTRADICTIONS.map(({ flags: names, isRequired = false }) => ({
    flags: flags.filter(({ long }) => names.some((name) => name === long)),
    isRequired,
  })).filter((group) => group.flags.length > 1);
  const inGroups = new Set(groups.flatMap((group) => group.flags));
  const single = flags.filter((flag) => !inGroups.has(flag));
  const packed = single
    .filter(({ short, value }) => short !== undefined && !takesValue(value))
    .map(({ short = "" }) => short);
  const optional = [
    ...groups
      .filter(({ isRequired }) => !isRequired)
      .map((group) => ({ by: group.flags[0], text: `[${group.flags.map(written).join(" | ")}]` })),
    ...single
      .filter(({ short, isRequired, value }) => !isRequired && (short === undefined || takesValue(value)))
      .map((flag) => ({ by: flag, text: flag.usage ?? `[${written(flag)}]` })),
  ];
  return [
    ...groups.filter(({ isRequired }) => isRequired).map((group) => `{${group.flags.map(written).join(" | ")}}`),
    ...single.filter(({ isRequired }) => isRequired).map(written),
    ...(packed.length === 0 ? [] : [`[-${packed.sort().join("")}]`]),
    ...optional.sort((one, other) => (rank(one.by) < rank(other.by) ? -1 : 1)).map(({ text }) => text),
  ];
}

function isInRequiredGroup(long: string): boolean {
  return CONTRADICTIONS.some(({ flags, isRequired = false }) => isRequired && flags.some((name) => name === long));
}

function takesValue({ kind }: Flag["value"]): boolean {
  return kind !== "switch" && kind !== "negation";
}

function written(flag: Flag): string {
  const placeholder = placeholderOf(flag);
  return placeholder === undefined ? labelOf(flag) : `${labelOf(flag)} ${placeholder}`;
}

/** Short options before long ones. */
function rank(flag: Flag | undefined): string {
  return flag?.short === undefined ? `~${flag?.long}` : flag.short;
}
