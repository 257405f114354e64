/**
 * What a reload has to do: the difference between two configurations.
 */

import { isDeepStrictEqual } from "node:util";
import type { TunnelConfig } from "../config/tunnel-config.js";
import { formatAddress } from "../net/address.js";
import type { FileConfig, FileTunnel } from "./config-file.js";
import { attributeOf, flagsOf, keyOf } from "./flags.js";

/** See the head of this file. Each tunnel of either configuration is in one list, or in two where it has changed. */
export interface ConfigChanges {
  /** Names of those that go on. */
  readonly unchanged: readonly string[];
  /** Names of those that are drained. */
  readonly ending: readonly string[];
  /** New ones, and those that have changed: their names are in `ending` too. */
  readonly starting: readonly StartingTunnel[];
  /** Keys of the process that say something else than before, which cannot be had without a restart. */
  readonly needRestart: readonly string[];
}

/** A tunnel to be started. */
export interface StartingTunnel {
  readonly tunnel: FileTunnel;
  readonly socket: SocketOrigin;
}

/** Where the listening socket of a starting tunnel comes from. `from`: the name of one that ends. */
export type SocketOrigin =
  | { readonly kind: "new" }
  /** It is the same one, so that nobody is refused. */
  | { readonly kind: "handed on"; readonly from: string }
  /** It is another one where the old one is in the way. */
  | { readonly kind: "made anew"; readonly from: string };

/** Compares what runs with what shall run. */
export function changesBetween(before: FileConfig, after: FileConfig): ConfigChanges {
  const old = new Map(before.tunnels.map((tunnel) => [nameOf(tunnel), tunnel]));
  const unchanged = after.tunnels.filter((tunnel) => isDeepStrictEqual(old.get(nameOf(tunnel)), tunnel)).map(nameOf);
  const ending = before.tunnels.filter((tunnel) => !unchanged.includes(nameOf(tunnel)));
  return {
    unchanged,
    ending: ending.map(nameOf),
    starting: after.tunnels
      .filter((tunnel) => !unchanged.includes(nameOf(tunnel)))
      .map((tunnel) => ({ tunnel, socket: originOf(tunnel.config, ending) })),
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

function originOf({ source, sourceMode }: TunnelConfig, ending: readonly FileTunnel[]): SocketOrigin {
  const text = formatAddress(source).toLowerCase();
  for (const tunnel of ending) {
    const { source: other, sourceMode: otherMode } = tunnel.config;
    const from = nameOf(tunnel);
    if (formatAddress(other).toLowerCase() === text) {
      return { kind: sourceMode === otherMode ? "handed on" : "made anew", from };
    }
    if (source.kind === "host" && other.kind === "host" && source.service === other.service && source.service !== "0") {
      // The system lets nobody listen on one address of a port and on all of them.
      if ([source.host, other.host].some((host) => host === "0.0.0.0" || host === "::"))
        return { kind: "made anew", from };
    }
  }
  return { kind: "new" };
}

function valueIn({ process }: FileConfig, name: string): unknown {
  return (process as Readonly<Record<string, unknown>>)[name];
}
