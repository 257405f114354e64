/**
 * Under which names the status may be asked for on a loopback address.
 *
 * A web page of somebody else's may have its name stand for 127.0.0.1 once it is loaded; its script then reads here what it
 * likes. What gives it away is the name in the request. Addresses have no owner who could do that, and `localhost` is
 * this machine in every browser.
 */

import { isIP } from "node:net";

/** @param host - The header; without one it is no browser. */
export function isExpectedHost(host: string | undefined): boolean {
  if (host === undefined || host === "") return true;
  const name = (/^\[([^\]]*)\](?::\d*)?$/.exec(host) ?? /^([^:]*)(?::\d*)?$/.exec(host))?.[1];
  if (name === undefined) return false;
  return isIP(name) !== 0 || /^(?:[^.]+\.)*localhost\.?$/i.test(name);
}
