/**
 * Socket addresses as people write them: `/path`, `[IPv4]:port`, `[IPv6]:port` and `host:port`. As with the C original,
 * the host may also be an IP address without brackets: the last colon splits.
 *
 * Parsing looks nothing up; `resolver.ts` turns a written address into those that a socket takes.
 */

import { isIP } from "node:net";
import { SpipedError } from "../errors.js";
import { pathBytes } from "../paths.js";
import { hasSystemd, hasUnixSockets } from "../platform.js";

/** The longest path of a UNIX socket in bytes; `sun_path` holds 108 with its final zero. */
const MAX_UNIX_PATH_BYTES = 107;

/** An address as written: a UNIX socket, or a host with a port. */
export type Address = UnixAddress | HostAddress;

/** Where a tunnel listens, as written. */
export type SourceAddress = Address | ManagedAddress;

/** A socket that a service manager has opened and hands to this process. */
export interface ManagedAddress {
  readonly kind: "systemd";
  /** As the manager calls it; empty for the only one. */
  readonly name: string;
}

/** A UNIX socket. */
export interface UnixAddress {
  readonly kind: "unix";
  /** Absolute path of at most 107 bytes. */
  readonly path: string;
}

/** A host and a port that may still have to be looked up. */
export interface HostAddress {
  readonly kind: "host";
  /** A name, or the text of an IP address without brackets. */
  readonly host: string;
  /** True where `host` is the text of an IP address. */
  readonly literal: boolean;
  /** A port number from 0 to 65,535 in decimal digits, or the name of a service. */
  readonly service: string;
}

/** An address that a socket takes: nothing is left to look up. */
export type SocketAddress = UnixAddress | TcpAddress;

/** A TCP address. */
export interface TcpAddress {
  readonly kind: "tcp";
  readonly family: 4 | 6;
  /** The IP address's text, with `%scope` where it needs one. */
  readonly address: string;
  /** 0 to 65,535. */
  readonly port: number;
}

const MANAGED = "systemd:";

/** What no name server and no list of hosts has in a name, control characters and bytes that are not UTF-8 among it. */
const UNFIT_FOR_HOSTS = /[\s[\]/*\p{Cc}\p{Cs}]/u;

const TCP_FORMS = "[IPv4]:port, [IPv6]:port or host:port";

/**
 * Parses an address as the command line takes it.
 *
 * @param text - As written.
 * @throws SpipedError `SPIPED_ADDRESS` where it is none of the forms.
 *
 * Source: docs/lifecycle.md, "Addresses".
 */
export function parseAddress(text: string): Address {
  return parse(text, text);
}

/** @param typed - What to name as wrong: the text without what was added to it. */
function parse(text: string, typed: string): Address {
  if (text.startsWith("/")) return parseUnix(text);
  const colon = text.lastIndexOf(":");
  if (text === "") throw malformed(typed, "it is empty");
  if (/^\s|\s$/.test(text)) throw malformed(typed, "it begins or ends with a blank");
  if (text.startsWith("[")) return parseBracketed(text, typed);
  if (colon === -1) throw malformed(typed, `the ${/^\d+$/.test(text) ? "host" : "port"} is missing`);
  if (isIP(text) !== 0 && !isIP(text.slice(0, colon))) throw malformed(typed, "the port is missing");
  const host = text.slice(0, colon);
  const service = text.slice(colon + 1);
  if (host === "") throw malformed(typed, "the host is missing");
  if (service === "") throw malformed(typed, "the port is missing");
  if (UNFIT_FOR_HOSTS.test(host)) throw malformed(typed, "that is no host name");
  if (host.includes(":") && isIP(host) === 0)
    throw malformed(typed, `${JSON.stringify(host)} is no IPv6 address; the port is missing, or brackets`);
  return Object.freeze({ kind: "host", host, literal: isIP(host) !== 0, service: checkedService(typed, service) });
}

/**
 * Parses an address to listen on: as {@link parseAddress}, and `systemd:NAME` for a socket of the service manager's.
 *
 * @throws SpipedError `SPIPED_ADDRESS`.
 */
export function parseSourceAddress(text: string): SourceAddress {
  if (!text.startsWith(MANAGED)) return parseAddress(text);
  if (!hasSystemd()) throw malformed(text, "there is no systemd on Windows");
  const name = text.slice(MANAGED.length);
  // What systemd takes for a name, FileDescriptorName=.
  if (!/^[\x20-\x39\x3b-\x7e]{0,255}$/.test(name)) throw malformed(text, "that is no name of a socket");
  return Object.freeze({ kind: "systemd", name });
}

/**
 * Parses an address to connect to: as {@link parseAddress}, but for port 0, on which nobody can listen.
 *
 * @throws SpipedError `SPIPED_ADDRESS`.
 */
export function parseTargetAddress(text: string): Address {
  const address = parseAddress(text);
  if (address.kind === "host" && address.service === "0") throw malformed(text, "nobody can listen on port 0");
  return address;
}

/**
 * Parses an address to listen on for this machine alone, unless another is given: as {@link parseAddress}, but a number is
 * a port of 127.0.0.1.
 *
 * @throws SpipedError `SPIPED_ADDRESS`; also for `systemd:NAME`, which who has just written one for SOURCE may try here.
 */
export function parseLocalAddress(text: string): Address {
  if (text.startsWith(MANAGED)) throw malformed(text, "the service manager hands sockets over for SOURCE only");
  return parse(/^\d+$/.test(text) ? `[127.0.0.1]:${text}` : text, text);
}

/**
 * Parses a local address for `-b`, where the port may be left out; port 0 then lets the system choose.
 *
 * @throws SpipedError `SPIPED_ADDRESS` where it is none of the forms, or a UNIX socket.
 */
export function parseBindAddress(text: string): HostAddress {
  if (text.startsWith("/")) throw malformed(text, "connections cannot be bound to a UNIX socket");
  if (isIP(text) === 6) throw malformed(text, "an IPv6 address needs brackets");
  const withoutPort = text.startsWith("[") ? text.endsWith("]") : text !== "" && !text.includes(":");
  const address = parse(withoutPort ? `${text}:0` : text, text);
  // Where the port may be missing, its colon cannot be told from the others.
  const isClear = text.startsWith("[") || address.kind === "unix" || !address.host.includes(":");
  if (!isClear) throw malformed(text, "an IPv6 address needs brackets");
  if (address.kind === "unix") throw malformed(text, "connections cannot be bound to a UNIX socket");
  return address;
}

/** Formats an address the way that {@link parseAddress} reads it. */
export function formatAddress(address: SourceAddress | SocketAddress): string {
  switch (address.kind) {
    case "systemd":
      return `${MANAGED}${address.name}`;
    case "unix":
      return address.path;
    case "host":
      return address.literal ? `[${address.host}]:${address.service}` : `${address.host}:${address.service}`;
    case "tcp":
      return `[${address.address}]:${address.port}`;
  }
}

function parseUnix(text: string): UnixAddress {
  if (!hasUnixSockets()) throw malformed(text, "there are no UNIX sockets on Windows");
  if (text.includes("\0")) throw malformed(text, "it holds a zero byte");
  const lengthBytes = pathBytes(text).length;
  if (lengthBytes > MAX_UNIX_PATH_BYTES) {
    throw malformed(text, `the path has ${lengthBytes} bytes and a UNIX socket takes ${MAX_UNIX_PATH_BYTES}`);
  }
  return Object.freeze({ kind: "unix", path: text });
}

function parseBracketed(text: string, typed: string): HostAddress {
  const close = text.indexOf("]");
  if (close === -1) throw malformed(typed, "the closing bracket is missing");
  const host = text.slice(1, close);
  const rest = text.slice(close + 1);
  if (isIP(host) === 0) throw malformed(typed, "what stands in brackets is no IP address");
  if (rest === "" || rest === ":") throw malformed(typed, "the port is missing");
  if (!rest.startsWith(":")) throw malformed(typed, "a colon and the port must follow the bracket");
  return Object.freeze({ kind: "host", host, literal: true, service: checkedService(typed, rest.slice(1)) });
}

function checkedService(text: string, service: string): string {
  if (/^[0-9]+$/.test(service)) {
    if (service.length > 5 || Number(service) > 65_535) throw malformed(text, "the port is above 65535");
    return String(Number(service));
  }
  if (!/^[A-Za-z0-9][A-Za-z0-9+._-]*$/.test(service)) throw malformed(text, "that is no port");
  return service;
}

function malformed(text: string, why: string): SpipedError {
  return new SpipedError("SPIPED_ADDRESS", `bad address ${JSON.stringify(text)}: ${why}`, {
    hint: hasUnixSockets() ? `write /absolute/path, ${TCP_FORMS}` : `write ${TCP_FORMS}`,
  });
}
