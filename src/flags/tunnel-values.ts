/**
 * Makes the configuration of a tunnel from the values of its options.
 */

import type { TunnelConfig } from "../config/tunnel-config.js";
import { SpipedError } from "../errors.js";
import { formatAddress, type SourceAddress } from "../net/address.js";
import type { ForwardSecrecy } from "../protocol/handshake.js";
import { type ParseAddress, parseAddressOf } from "./addresses.js";
import type { FlagValues } from "./flags.js";

/** The values of a tunnel's options. They do not contradict each other, and the required addresses are present. */
export type TunnelValues = FlagValues<"spiped"> & { readonly source: string; readonly target: string };

/** The rest of a tunnel's configuration. */
export type TunnelHead = Pick<TunnelConfig, "name" | "role">;

/**
 * Makes the configuration of a tunnel.
 *
 * @param parse - Parses an address.
 * @throws SpipedError `SPIPED_ADDRESS`, `SPIPED_USAGE`.
 */
export function tunnelConfigOf(
  { name, role }: TunnelHead,
  values: TunnelValues,
  parse: ParseAddress = parseAddressOf,
): TunnelConfig {
  const source = parse("source", values.source);
  if (source.kind === "systemd") refuseSourceMode(source, values.sourceMode);
  return Object.freeze({
    name,
    role,
    source,
    target: parse("target", values.target),
    sourceMode: values.sourceMode,
    resolveIntervalMs: values.resolveOnce ? Number.POSITIVE_INFINITY : values.resolveInterval,
    bind: values.bind === undefined ? undefined : parse("bind", values.bind),
    forwardSecrecy: forwardSecrecyOf(values),
    keepAlive: values.keepAlive,
    proxyProtocol: values.proxyProtocol === true,
    maxConnections: values.maxConnections,
    timeoutMs: values.timeout,
  });
}

/**
 * Refuses permissions unless the source is a UNIX socket that this program creates.
 *
 * @throws SpipedError `SPIPED_USAGE`.
 */
export function refuseSourceMode(source: SourceAddress, mode: number | undefined): void {
  if (mode === undefined || source.kind === "unix") return;
  const [what, hint] =
    source.kind === "systemd"
      ? ["SOURCE comes from a .socket unit", "write SocketMode= in the unit"]
      : [`SOURCE ${formatAddress(source)} is none`, "leave it out, or listen on the /absolute/path of a UNIX socket"];
  throw new SpipedError("SPIPED_USAGE", `--source-mode is for UNIX sockets, and ${what}`, { hint });
}

/** The value that `-f` and `-g` set. */
export function forwardSecrecyOf({
  withoutForwardSecrecy,
  requireForwardSecrecy,
}: Pick<TunnelValues, "withoutForwardSecrecy" | "requireForwardSecrecy">): ForwardSecrecy {
  if (withoutForwardSecrecy) return "off";
  return requireForwardSecrecy ? "require" : "allow";
}
