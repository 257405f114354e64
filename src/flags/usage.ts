/**
 * The usage lines of a command, made of the table of flags: what it needs, switches in one bracket, the rest by letter.
 */

import { CONTRADICTIONS, type CommandName, type Flag, flagsOf, isTunnelWord, labelOf, placeholderOf } from "./flags.js";

/** The ways to use a command, a line each. */
export function usageOf(command: CommandName): readonly string[] {
  return usageParts(command).map((parts) => parts.join(" "));
}

/** The same in pieces between which a line may break. */
export function usageParts(command: CommandName): readonly (readonly string[])[] {
  const flags = flagsOf(command).filter(({ group }) => group !== "about");
  const config = flags.find(({ long }) => long === "config");
  const onWords = partsOf(flags.filter((flag) => flag !== config));
  if (config === undefined) return [onWords];
  const others = flags.filter((flag) => flag !== config && !isTunnelWord(flag));
  return [onWords, [spelt(config), ...partsOf(others)]];
}

function partsOf(flags: readonly Flag[]): readonly string[] {
  const groups = CONTRADICTIONS.map(({ flags: names, missing }) => ({
    flags: flags.filter(({ long }) => names.some((name) => name === long)),
    isRequired: missing !== undefined,
  })).filter((group) => group.flags.length > 1);
  const inGroups = new Set(groups.flatMap((group) => group.flags));
  const single = flags.filter((flag) => !inGroups.has(flag));
  const packed = single
    .filter(({ short, value }) => short !== undefined && !takesValue(value))
    .map(({ short = "" }) => short);
  const optional = [
    ...groups
      .filter(({ isRequired }) => !isRequired)
      .map((group) => ({ by: group.flags[0], text: `[${group.flags.map(spelt).join(" | ")}]` })),
    ...single
      .filter(({ short, isRequired, value }) => !isRequired && (short === undefined || takesValue(value)))
      .map((flag) => ({ by: flag, text: flag.usage ?? `[${spelt(flag)}]` })),
  ];
  return [
    ...groups.filter(({ isRequired }) => isRequired).map((group) => `{${group.flags.map(spelt).join(" | ")}}`),
    ...single.filter(({ isRequired }) => isRequired).map(spelt),
    ...(packed.length === 0 ? [] : [`[-${packed.sort().join("")}]`]),
    ...optional.sort((one, other) => (rank(one.by) < rank(other.by) ? -1 : 1)).map(({ text }) => text),
  ];
}

function takesValue({ kind }: Flag["value"]): boolean {
  return kind !== "switch" && kind !== "negation";
}

function spelt(flag: Flag): string {
  const placeholder = placeholderOf(flag);
  return placeholder === undefined ? labelOf(flag) : `${labelOf(flag)} ${placeholder}`;
}

/** Letters before words. */
function rank(flag: Flag | undefined): string {
  return flag?.short === undefined ? `~${flag?.long}` : flag.short;
}
