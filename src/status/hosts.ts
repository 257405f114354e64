/**
 * Protects the status server on a loopback address against DNS rebinding.
 *
 * A hostile web page can make its own name resolve to 127.0.0.1 after it was loaded, and its script could then read the
 * status. The `Host` header reveals that name. IP addresses cannot be rebound, and browsers resolve `localhost` to this
 * machine.
 */

import { isIP } from "node:net";

/** @param host - The `Host` header; undefined is allowed, since every browser sends one. */
export function isExpectedHost(host: string | undefined): boolean {
  if (host === undefined || host === "") return true;
  const name = (/^\[([^\]]*)\](?::\d*)?$/.exec(host) ?? /^([^:]*)(?::\d*)?$/.exec(host))?.[1];
  if (name === undefined) return false;
  return isIP(name) !== 0 || /^(?:[^.]+\.)*localhost\.?$/i.test(name);
}
