/**
 * Compares addresses of this machine: whether connecting to one reaches a socket that listens on another, which makes a
 * tunnel talk to itself; and whether two addresses can be listened on at the same time.
 */

import { realpathSync } from "node:fs";
import { SocketAddress as IpAddress, isIP } from "node:net";
import { basename, dirname, join } from "node:path";
import { pathBytes, textOfBytes } from "../paths.js";
import { listensOnBothFamilies } from "../platform.js";
import type { SocketAddress } from "./address.js";

type TcpAddress = Extract<SocketAddress, { readonly kind: "tcp" }>;

/** The wildcard addresses. */
const ALL = ["0.0.0.0", "::"];

/**
 * Whether connecting to `target` reaches a socket that listens on `source`, as far as that is known without asking the
 * system. For a source that listens on all addresses, only loopback targets count.
 */
export function leadsTo(target: SocketAddress, source: SocketAddress): boolean {
  if (target.kind === "unix" || source.kind === "unix") {
    return target.kind === "unix" && source.kind === "unix" && realPath(target.path) === realPath(source.path);
  }
  if (target.port !== source.port) return false;
  const [to, at] = [plain(target).address, plain(source).address];
  // Connecting to a wildcard address reaches the loopback address.
  const reached = to === "0.0.0.0" ? "127.0.0.1" : to === "::" ? "::1" : to;
  return reached === at || (ALL.includes(at) && isLoopback(reached));
}

/** Whether two addresses cannot be listened on at the same time, as far as that is known without asking the system. */
export function conflictsWith(one: SocketAddress, other: SocketAddress): boolean {
  if (one.kind === "unix" || other.kind === "unix") {
    return one.kind === "unix" && other.kind === "unix" && realPath(one.path) === realPath(other.path);
  }
  if (one.port !== other.port || one.port === 0) return false;
  const [first, second] = [plain(one), plain(other)];
  return first.address === second.address || takesAll(first, second) || takesAll(second, first);
}

/** The address in its shortest form, and an IPv4 address that is mapped to IPv6 as what it is. */
function plain(address: TcpAddress): TcpAddress {
  if (address.family === 4 || address.address.includes("%")) return address;
  const short = new IpAddress({ address: address.address, family: "ipv6" }).address;
  const mapped = /^::ffff:(.*\..*)$/.exec(short)?.[1];
  return mapped === undefined ? { ...address, address: short } : { ...address, family: 4, address: mapped };
}

function takesAll(one: TcpAddress, other: TcpAddress): boolean {
  // On other systems, and with `ipv6Only`, a socket on [::] does not cover IPv4.
  const isForBoth = one.family === 6 && listensOnBothFamilies();
  return ALL.includes(one.address) && (one.family === other.family || isForBoth);
}

function isLoopback(address: string): boolean {
  return address === "::1" || (isIP(address) === 4 && address.startsWith("127."));
}

/** The canonical path of a UNIX socket: the real path of its folder, and its name. */
export function realPath(path: string): string {
  try {
    const folder = textOfBytes(realpathSync(pathBytes(dirname(path)), { encoding: "buffer" }));
    return join(folder, basename(path));
  } catch {
    return path;
  }
}
