/**
 * Looks written addresses up: the system's `getaddrinfo`, so `/etc/hosts`, DNS and service names all count.
 *
 * A silent name server holds a look-up up for a minute or more. So each runs on a thread of its own, and they wait for
 * each other, or such threads would pile up.
 */

import { messageOf, SpipedError } from "../errors.js";
import { addon } from "../native/native.js";
import { type Address, formatAddress, type HostAddress, type SocketAddress, type TcpAddress } from "./address.js";

let lastLookUp: Promise<unknown> = Promise.resolve();

/**
 * Looks an address up.
 *
 * @returns At least one address, in the order in which the system prefers them.
 * @throws SpipedError `SPIPED_RESOLVE` where the name or the service is not known.
 */
export async function resolve(address: Address): Promise<readonly [SocketAddress, ...SocketAddress[]]> {
  if (address.kind === "unix") return [address];
  const lookUp = lastLookUp.then(() => addon.resolve(address.host, address.service));
  lastLookUp = lookUp.catch(() => undefined);
  let found: TcpAddress[];
  try {
    found = (await lookUp).map((one) => ({
      kind: "tcp",
      family: one.family === 6 ? 6 : 4,
      address: one.address,
      port: one.port,
    }));
  } catch (cause) {
    throw unresolved(address, messageOf(cause), cause);
  }
  const [first, ...others] = found;
  if (first === undefined) throw unresolved(address, "no address found");
  return [first, ...others];
}

/** Looks the address of `-b` up; undefined where there is none. */
export async function resolveBind(bind: HostAddress | undefined): Promise<readonly TcpAddress[] | undefined> {
  if (bind === undefined) return undefined;
  return (await resolve(bind)).filter((one) => one.kind === "tcp");
}

function unresolved(address: Address, why: string, cause?: unknown): SpipedError {
  return new SpipedError("SPIPED_RESOLVE", `cannot look up ${formatAddress(address)}: ${why}`, {
    cause,
    hint: "check the name, and that a name server answers on this machine",
  });
}
