/**
 * Textual socket addresses: `/path`, `[IPv4]:port`, `[IPv6]:port` and `host:port`. As in the C original, the host may
 * also be an IP address without brackets: the last colon separates the port.
 *
 * Parsing does no lookups; `resolver.ts` turns an address into socket addresses.
 */

import { isIP } from "node:net";
import { SpipedError } from "../errors.js";
import { pathBytes } from "../paths.js";
import { hasSystemd, hasUnixSockets } from "../platform.js";

/** The longest path of a UNIX socket in bytes; `sun_path` holds 108 including the terminating zero. */
const MAX_UNIX_PATH_BYTES = 107;

/** An address as written: a UNIX socket, or a host with a port. */
export type Address = UnixAddress | HostAddress;

/** Where a tunnel listens, as written. */
export type SourceAddress = Address | ManagedAddress;

/** A socket opened by a service manager and passed to this process. */
export interface ManagedAddress {
  readonly kind: "systemd";
  /** Its name in the service manager; empty if there is only one. */
  readonly name: string;
}

/** A UNIX socket. */
export interface UnixAddress {
  readonly kind: "unix";
  /** Absolute path of at most 107 bytes. */
  readonly path: string;
}

/** A host and a port, either of which may need a lookup. */
export interface HostAddress {
  readonly kind: "host";
  /** A host name, or an IP address without brackets. */
  readonly host: string;
  /** Whether `host` is an IP address. */
  readonly literal: boolean;
  /** A decimal port number from 0 to 65,535, or a service name. */
  readonly service: string;
}

/** A resolved address, ready to bind or connect to. */
export type SocketAddress = UnixAddress | TcpAddress;

/** A TCP address. */
export interface TcpAddress {
  readonly kind: "tcp";
  readonly family: 4 | 6;
  /** The IP address as text, with `%scope` if it needs one. */
  readonly address: string;
  /** 0 to 65,535. */
  readonly port: number;
}

const MANAGED = "systemd:";

/** Characters that cannot occur in a host name, including control characters and bytes that are not UTF-8. */
const INVALID_IN_HOST = /[\s[\]/*\p{Cc}\p{Cs}]/u;

const TCP_FORMS = "[IPv4]:port, [IPv6]:port or host:port";

/**
 * Parses an address in any of the command line's forms.
 *
 * @throws SpipedError `SPIPED_ADDRESS` if the address is malformed.
 *
 * Source: docs/lifecycle.md, "Addresses".
 */
export function parseAddress(text: string): Address {
  return parse(text, text);
}

/** @param typed - The text as the user wrote it, for error messages. */
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
  if (INVALID_IN_HOST.test(host)) throw malformed(typed, "invalid host name");
  if (host.includes(":") && isIP(host) === 0)
    throw malformed(
      typed,
      `${JSON.stringify(host)} is not an IPv6 address; either the port or the brackets are missing`,
    );
  return Object.freeze({ kind: "host", host, literal: isIP(host) !== 0, service: checkedService(typed, service) });
}

/**
 * Parses an address to listen on: the forms of {@link parseAddress}, and `systemd:NAME` for a socket that the service
 * manager passes.
 *
 * @throws SpipedError `SPIPED_ADDRESS`.
 */
export function parseSourceAddress(text: string): SourceAddress {
  if (!text.startsWith(MANAGED)) return parseAddress(text);
  if (!hasSystemd()) throw malformed(text, "there is no systemd on Windows");
  const name = text.slice(MANAGED.length);
  // The names that systemd allows in FileDescriptorName=.
  if (!/^[\x20-\x39\x3b-\x7e]{0,255}$/.test(name)) throw malformed(text, "invalid socket name");
  return Object.freeze({ kind: "systemd", name });
}

/**
 * Parses an address to connect to: the forms of {@link parseAddress}, except port 0.
 *
 * @throws SpipedError `SPIPED_ADDRESS`.
 */
export function parseTargetAddress(text: string): Address {
  const address = parseAddress(text);
  if (address.kind === "host" && address.service === "0") throw malformed(text, "cannot connect to port 0");
  return address;
}

/**
 * Parses an address to listen on that defaults to this machine only: the forms of {@link parseAddress}, and a bare number
 * for a port on 127.0.0.1.
 *
 * @throws SpipedError `SPIPED_ADDRESS`; also for `systemd:NAME`, with a message that says why it does not work here.
 */
export function parseLocalAddress(text: string): Address {
  if (text.startsWith(MANAGED)) throw malformed(text, "sockets of the service manager cannot be used here");
  return parse(/^\d+$/.test(text) ? `[127.0.0.1]:${text}` : text, text);
}

/**
 * Parses the local address of outgoing connections. The port may be omitted; it is then 0, and the system chooses one.
 *
 * @throws SpipedError `SPIPED_ADDRESS` if the address is malformed, or a UNIX socket.
 */
export function parseBindAddress(text: string): HostAddress {
  if (text.startsWith("/")) throw malformed(text, "connections cannot be bound to a UNIX socket");
  if (isIP(text) === 6) throw malformed(text, "an IPv6 address needs brackets");
  const withoutPort = text.startsWith("[") ? text.endsWith("]") : text !== "" && !text.includes(":");
  const address = parse(withoutPort ? `${text}:0` : text, text);
  // As the port is optional, its colon cannot be told from those of an IPv6 address.
  const isClear = text.startsWith("[") || address.kind === "unix" || !address.host.includes(":");
  if (!isClear) throw malformed(text, "an IPv6 address needs brackets");
  if (address.kind === "unix") throw malformed(text, "connections cannot be bound to a UNIX socket");
  return address;
}

/** Formats an address so that {@link parseAddress} can parse it. */
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
  if (text.includes("\0")) throw malformed(text, "it contains a zero byte");
  const lengthBytes = pathBytes(text).length;
  if (lengthBytes > MAX_UNIX_PATH_BYTES) {
    throw malformed(
      text,
      `the path has ${lengthBytes} bytes; a UNIX socket's path can have at most ${MAX_UNIX_PATH_BYTES}`,
    );
  }
  return Object.freeze({ kind: "unix", path: text });
}

function parseBracketed(text: string, typed: string): HostAddress {
  const close = text.indexOf("]");
  if (close === -1) throw malformed(typed, "the closing bracket is missing");
  const host = text.slice(1, close);
  const rest = text.slice(close + 1);
  if (isIP(host) === 0) throw malformed(typed, "the part in brackets is not an IP address");
  if (rest === "" || rest === ":") throw malformed(typed, "the port is missing");
  if (!rest.startsWith(":")) throw malformed(typed, "a colon and the port must follow the bracket");
  return Object.freeze({ kind: "host", host, literal: true, service: checkedService(typed, rest.slice(1)) });
}

function checkedService(text: string, service: string): string {
  if (/^[0-9]+$/.test(service)) {
    if (service.length > 5 || Number(service) > 65_535) throw malformed(text, "the port is above 65535");
    return String(Number(service));
  }
  if (!/^[A-Za-z0-9][A-Za-z0-9+._-]*$/.test(service)) throw malformed(text, "invalid port");
  return service;
}

function malformed(text: string, why: string): SpipedError {
  return new SpipedError("SPIPED_ADDRESS", `bad address ${JSON.stringify(text)}: ${why}`, {
    hint: hasUnixSockets() ? `write /absolute/path, ${TCP_FORMS}` : `write ${TCP_FORMS}`,
  });
}
