/**
 * Builds a tunnel from its configuration, wherever that came from: resolve its addresses, listen, and assemble it. What
 * happens in between (keys, pid files, changing the user) is up to the caller.
 *
 *     resolveEndpoints ──▶ listen ──▶ assemble ──▶ Tunnel.start
 */

import type { TunnelConfig } from "../config/tunnel-config.js";
import { SpipedError } from "../errors.js";
import type { ManagedAddress, SocketAddress, TcpAddress } from "../net/address.js";
import type { DescriptorBudget } from "../net/descriptors.js";
import type { InheritedSockets } from "../net/inherited-sockets.js";
import { ListeningSocket } from "../net/listening-socket.js";
import { type LookupLimits, resolve, resolveBind } from "../net/resolver.js";
import type { KeyRing } from "../protocol/key-ring.js";
import { TunnelEmitter } from "./events.js";
import { DialedTargets } from "./target.js";
import { TargetAddresses } from "./target-addresses.js";
import { Tunnel } from "./tunnel.js";

/** The resolved addresses of a configuration. */
export interface Endpoints {
  /** At least one; the tunnel listens on the first. */
  readonly sources: readonly [SocketAddress, ...SocketAddress[]] | readonly [ManagedAddress];
  readonly targets: readonly SocketAddress[];
  readonly bind: readonly TcpAddress[] | undefined;
}

/** What a tunnel needs besides its configuration. */
export interface AssemblyParts {
  readonly ends: Omit<Endpoints, "sources">;
  readonly keys: KeyRing;
  /** Owned by the tunnel from now on. */
  readonly socket: ListeningSocket;
  readonly descriptors: DescriptorBudget;
}

/**
 * Resolves all addresses of a configuration in parallel.
 *
 * @param lookup - Resolves source and target.
 * @throws SpipedError the first failure of `lookup`.
 */
export async function resolveEndpoints(
  { source, target, bind }: Pick<TunnelConfig, "source" | "target" | "bind">,
  limits: LookupLimits = {},
  lookup: typeof resolve = resolve,
): Promise<Endpoints> {
  const sourcesOf = () => (source.kind === "systemd" ? ([source] as const) : lookup(source, limits));
  // An IP address resolves synchronously; do it before the lookups of names, not after them.
  const early = source.kind === "host" && source.literal ? sourcesOf() : undefined;
  const targetsFound = lookup(target, limits);
  const [targets, local, sources] = await Promise.all([targetsFound, resolveBind(bind, limits), early ?? sourcesOf()]);
  return { sources, targets, bind: local };
}

/**
 * Listens on the first of a tunnel's sources; clients wait in the backlog.
 *
 * @param mode - Permissions of a UNIX socket's file, if this creates one.
 * @param inherited - Sockets passed by a service manager.
 * @throws SpipedError `SPIPED_LISTEN`.
 */
export function listen(
  { sources: [source] }: Pick<Endpoints, "sources">,
  mode: number | undefined,
  inherited?: InheritedSockets,
): ListeningSocket {
  if (source.kind !== "systemd") return ListeningSocket.listen(source, mode);
  if (inherited === undefined) throw new SpipedError("SPIPED_STEP", "this program takes no sockets of others");
  return ListeningSocket.inherit(inherited.take(source));
}

/** Assembles a tunnel; `start` begins to accept. */
export function assemble(config: TunnelConfig, { ends, keys, socket, descriptors }: AssemblyParts): Tunnel {
  const events = new TunnelEmitter();
  const { timeoutMs, keepAlive, resolveIntervalMs } = config;
  const addresses = new TargetAddresses(config.target, ends.targets, resolve, {
    lookupFailed: (error) => events.emit("lookupFailed", error),
    lookupRecovered: (name) => events.emit("lookupRecovered", name),
    addressesChanged: (name, addresses) => events.emit("addressesChanged", name, addresses),
  });
  const dialing = { bind: ends.bind, timeoutMs, keepAlive, resolveIntervalMs, descriptors };
  const targets = new DialedTargets(addresses, dialing);
  return new Tunnel(config, { keys, socket, targets, events, descriptors });
}
