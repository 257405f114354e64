/**
 * The difference between two configurations, for a reload.
 */

import { isDeepStrictEqual } from "node:util";
import type { FileConfig, FileTunnel } from "./config-file.js";
import { attributeOf, flagsOf, keyOf } from "./flags.js";

/** Each tunnel of either configuration is in one list; one that has changed is in two. */
export interface ConfigChanges {
  /** Names of the tunnels to leave alone. */
  readonly unchanged: readonly string[];
  /** Names of the tunnels to drain. */
  readonly ending: readonly string[];
  /** Tunnels to start: new ones, and changed ones, whose names are in `ending` too. */
  readonly starting: readonly FileTunnel[];
  /** Keys of the process that have changed; they take effect after a restart. */
  readonly needRestart: readonly string[];
}

/** Compares the running configuration with the new one. */
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

/** The name of a tunnel; every tunnel of a file has one. */
export function nameOf({ config }: FileTunnel): string {
  return config.name ?? "";
}

function valueIn({ process }: FileConfig, name: string): unknown {
  return (process as Readonly<Record<string, unknown>>)[name];
}
