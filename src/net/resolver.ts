/**
 * Resolves addresses with the system's `getaddrinfo`, which covers `/etc/hosts`, DNS and service names. IP addresses with
 * a port number need no lookup and resolve immediately.
 */

import { LONGEST_MS } from "../clock.js";
import { messageOf, SpipedError } from "../errors.js";
import { addon, type LookupResult } from "../native/native.js";
import { type Address, formatAddress, type HostAddress, type SocketAddress, type TcpAddress } from "./address.js";
import type { CancelSignal } from "./cancellation.js";
import { LookupQueue } from "./lookup-queue.js";

/** How long a caller waits for a lookup. */
export interface LookupLimits {
  /** Stops waiting; the lookup then rejects with the signal's reason. */
  readonly signal?: CancelSignal | undefined;
  /** Default: no limit but the system's own. */
  readonly timeoutMs?: number | undefined;
}

const lookups = new LookupQueue((host, service, done) => addon.resolve(host, service, done));

/**
 * Resolves an address.
 *
 * @returns At least one address, in the system's order of preference.
 * @throws SpipedError `SPIPED_RESOLVE` if the name or the service is not known, `SPIPED_TIMEOUT`; the signal's reason.
 */
export async function resolve(
  address: Address,
  limits: LookupLimits = {},
): Promise<readonly [SocketAddress, ...SocketAddress[]]> {
  if (address.kind === "unix") return [address];
  const { addresses, failure } = await lookup(address, limits);
  const [first, ...others] = addresses.map(
    (one): TcpAddress => ({
      kind: "tcp",
      family: one.family === 6 ? 6 : 4,
      address: one.address,
      port: one.port,
    }),
  );
  if (first === undefined) {
    if (!(await hasService(address, limits))) throw unknownService(address);
    throw unresolved(address, failure ?? "no address found");
  }
  return [first, ...others];
}

/** Whether the port is a number, or a name that the system knows. */
async function hasService({ service }: HostAddress, limits: LookupLimits): Promise<boolean> {
  if (/^\d+$/.test(service)) return true;
  const { addresses } = await lookup({ kind: "host", host: "127.0.0.1", literal: true, service }, limits);
  return addresses.length > 0;
}

/** Resolves the local address of outgoing connections, if there is one. */
export async function resolveBind(
  bind: HostAddress | undefined,
  limits: LookupLimits = {},
): Promise<readonly TcpAddress[] | undefined> {
  if (bind === undefined) return undefined;
  return (await resolve(bind, limits)).filter((one) => one.kind === "tcp");
}

function lookup(
  address: HostAddress,
  { signal, timeoutMs = LONGEST_MS }: LookupLimits,
): Promise<LookupResult> | LookupResult {
  const { host, literal, service } = address;
  if (literal && /^\d+$/.test(service)) return numeric(host, service);
  const timedOut = () =>
    new SpipedError("SPIPED_TIMEOUT", `lookup of ${formatAddress(address)} timed out after ${timeoutMs / 1_000} s`, {
      hint: "check that DNS works on this machine",
    });
  return lookups.find(host, service, { signal, timeoutMs, timedOut });
}

function numeric(host: string, service: string): LookupResult {
  try {
    return { addresses: [addon.resolveNumeric(host, service)] };
  } catch (cause) {
    return { addresses: [], failure: messageOf(cause) };
  }
}

function unknownService(address: HostAddress): SpipedError {
  const message = `cannot resolve ${formatAddress(address)}: unknown service ${JSON.stringify(address.service)}`;
  return new SpipedError("SPIPED_RESOLVE", message, { hint: "write the port as a number" });
}

function unresolved(address: Address, why: string): SpipedError {
  return new SpipedError("SPIPED_RESOLVE", `cannot resolve ${formatAddress(address)}: ${why}`, {
    hint: "check the name, and that DNS works on this machine",
  });
}
