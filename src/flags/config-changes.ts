/**
 * What a reload has to do: the difference between two configurations.
 */

import { isDeepStrictEqual } from "node:util";
import type { FileConfig, FileTunnel } from "./config-file.js";
import { attributeOf, flagsOf, keyOf } from "./flags.js";

/** See the head of this file. Each tunnel of either configuration is in one list, or in two where it has changed. */
export interface ConfigChanges {
  /** Names of those that go on. */
  readonly unchanged: readonly string[];
  /** Names of those that are drained. */
  readonly ending: readonly string[];
  /** New ones, and those that have changed: their names are in `ending` too. */
  readonly starting: readonly FileTunnel[];
  /** Keys of the process that say something else than before, which cannot be had without a restart. */
  readonly needRestart: readonly string[];
}

/** Compares what runs with what shall run. */
export function changesBetween(before: FileConfig, after: FileConfig): ConfigChanges {
  const old = new Map(before.tunnels.map((tunnel) => [nameOf(tunnel), tunnel]));
  const unchanged = after.tunnels.filter((tunnel) => isDeepStrictEqual(old.get(nameOf(tunnel)), tunnel)).map(nameOf);
  const ending = before.tunnels.filter((tunnel) => !unchanged.includes(nameOf(tunnel)));
  return {
    unchanged,
    ending: ending.map(nameOf),
    starting: after.tunnels.filter((tunnel) => !unchanged.includes(nameOf(tunnel))),
    needRestart: flagsOf("spiped")
      .filter(({ belongsTo }) => belongsTo === "process")
      .filter((flag) => !isDeepStrictEqual(valueIn(before, attributeOf(flag)), valueIn(after, attributeOf(flag))))
      .map(keyOf),
  };
}

/** The name of a tunnel; each of a file has one. */
export function nameOf({ config }: FileTunnel): string {
  return config.name ?? "";
}

function valueIn({ process }: FileConfig, name: string): unknown {
  return (process as Readonly<Record<string, unknown>>)[name];
}
