/**
 * How addresses of this machine stand to each other: whether dialling one leads to a socket that listens on another, and
 * then whoever does both talks to itself; and whether there is room for a socket on each.
 */

import { realpathSync } from "node:fs";
import { isIP } from "node:net";
import { basename, dirname, join } from "node:path";
import { pathBytes, textOfBytes } from "../paths.js";
import { listensOnBothFamilies } from "../platform.js";
import type { SocketAddress } from "./address.js";

type TcpAddress = Extract<SocketAddress, { readonly kind: "tcp" }>;

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

/** Whether only one of two sockets can listen, as far as that can be told without asking the system. */
export function excludeEachOther(one: SocketAddress, other: SocketAddress): boolean {
  if (one.kind === "unix" || other.kind === "unix") {
    return one.kind === "unix" && other.kind === "unix" && realPath(one.path) === realPath(other.path);
  }
  if (one.port !== other.port || one.port === 0) return false;
  return one.address === other.address || takesAll(one, other) || takesAll(other, one);
}

function takesAll(one: TcpAddress, other: TcpAddress): boolean {
  // Elsewhere, and with another setting, one for all of IPv6 leaves IPv4 alone.
  const isForBoth = one.family === 6 && listensOnBothFamilies();
  return ALL.includes(one.address) && (one.family === other.family || isForBoth);
}

function isLoopback(address: string): boolean {
  return ALL.includes(address) || address === "::1" || (isIP(address) === 4 && address.startsWith("127."));
}

/** A UNIX socket's path without links and detours: its folder's own, since it is made in there, and its name. */
export function realPath(path: string): string {
  try {
    const folder = textOfBytes(realpathSync(pathBytes(dirname(path)), { encoding: "buffer" }));
    return join(folder, basename(path));
  } catch {
    return path;
  }
}
