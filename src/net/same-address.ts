/**
 * Whether dialling an address leads to a socket that listens: then whoever does both talks to itself.
 */

import { isIP } from "node:net";
import type { SocketAddress } from "./address.js";

/** Every address of this machine. */
const ALL = ["0.0.0.0", "::"];

/**
 * Whether `target` leads to what listens on `source`, as far as that can be told without asking the system: of a socket
 * that listens on every address, those that are this machine's for certain lead to it.
 */
export function leadsTo(target: SocketAddress, source: SocketAddress): boolean {
  if (target.kind === "unix" || source.kind === "unix") {
    return target.kind === "unix" && source.kind === "unix" && target.path === source.path;
  }
  if (target.port !== source.port) return false;
  return target.address === source.address || (ALL.includes(source.address) && isLoopback(target.address));
}

function isLoopback(address: string): boolean {
  return ALL.includes(address) || address === "::1" || (isIP(address) === 4 && address.startsWith("127."));
}
