/**
 * Values of flags → the configuration of one tunnel, wherever the words came from.
 */

import type { TunnelConfig } from "../config/tunnel-config.js";
import { SpipedError } from "../errors.js";
import type { ForwardSecrecy } from "../protocol/handshake-steps.js";
import type { FlagValues } from "./flags.js";
import { ADDRESS_PARSERS } from "./values.js";

/** The values of a tunnel's flags, of which none contradicts another, and the two that it cannot do without. */
export type TunnelValues = FlagValues<"spiped"> & { readonly source: string; readonly target: string };

/** What a tunnel is besides the values of its flags. */
export type TunnelHead = Pick<TunnelConfig, "name" | "role">;

/**
 * Makes the configuration of a tunnel.
 *
 * @throws SpipedError `SPIPED_ADDRESS`, `SPIPED_USAGE`.
 */
export function tunnelConfigOf({ name, role }: TunnelHead, values: TunnelValues): TunnelConfig {
  const source = ADDRESS_PARSERS.source(values.source);
  if (source.kind === "systemd" && values.sourceMode !== undefined) {
    throw new SpipedError("SPIPED_USAGE", "--source-mode is for sockets made here; a .socket unit has SocketMode=");
  }
  return Object.freeze({
    name,
    role,
    source,
    target: ADDRESS_PARSERS.target(values.target),
    sourceMode: values.sourceMode,
    resolveIntervalMs: values.resolveOnce ? Number.POSITIVE_INFINITY : values.resolveInterval,
    bind: values.bind === undefined ? undefined : ADDRESS_PARSERS.bind(values.bind),
    forwardSecrecy: forwardSecrecyOf(values),
    keepAlive: values.keepAlive,
    proxyProtocol: values.proxyProtocol === true,
    maxConnections: values.maxConnections,
    timeoutMs: values.timeout,
  });
}

/** Makes one value of `-f` and `-g`. */
export function forwardSecrecyOf({
  withoutForwardSecrecy,
  requireForwardSecrecy,
}: Pick<TunnelValues, "withoutForwardSecrecy" | "requireForwardSecrecy">): ForwardSecrecy {
  if (withoutForwardSecrecy) return "off";
  return requireForwardSecrecy ? "require" : "allow";
}
