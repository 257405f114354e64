/**
 * The PROXY protocol header, version 2: tells a service the client's address, where it would otherwise see ours.
 *
 *     signature, 12 bytes ‖ version and command ‖ family ‖ be16(bytes that follow)
 *     TCP:  client's address ‖ address that it connected to ‖ be16(client's port) ‖ be16(port)
 *     with a named key:  0xE0 ‖ be16(bytes of the name) ‖ name
 *
 * Source: section 2.2 of HAProxy's proxy-protocol.txt; docs/lifecycle.md, "PROXY protocol".
 */

import { isIP } from "node:net";
import { SpipedError } from "../errors.js";
import { pathBytes } from "../paths.js";

/** One end of a TCP connection. */
export interface TcpEnd {
  /** An IP address, perhaps with `%scope`. */
  readonly address: string;
  readonly port: number;
}

/** The two ends of an accepted connection. A client on a UNIX socket has no address. */
export type SocketEnds =
  | { readonly kind: "tcp"; readonly remote: TcpEnd; readonly local: TcpEnd }
  | { readonly kind: "unix" };

/** The longest name of a key in bytes, which is the longest file name. */
export const MAX_KEY_NAME_BYTES = 255;

const SIGNATURE = Buffer.from("\r\n\r\n\0\r\nQUIT\n", "latin1");
/** Version 2 and a command: use the addresses of the connection itself, or those in the header. */
const COMMAND = { local: 0x20, proxy: 0x21 } as const;
/** Address family and SOCK_STREAM; `none` means no addresses. */
const FAMILY = { none: 0x00, tcp4: 0x11, tcp6: 0x21 } as const;
/** The first TLV type reserved for applications (PP2_TYPE_MIN_CUSTOM). */
const KEY_NAME_TYPE = 0xe0;

/**
 * Encodes a header, of at most 310 bytes.
 *
 * A client on a UNIX socket is announced without an address, as HAProxy does: HAProxy rejects the family for UNIX sockets,
 * and so does nginx before 1.23.2 in front of TLS.
 *
 * @param keyName - The name of the client's key, if it has one.
 */
export function proxyHeader(ends: SocketEnds, keyName: string | undefined): Uint8Array {
  const { command, family, addresses } = described(ends);
  const body = Buffer.concat([addresses, keyName === undefined ? NOTHING : keyNameField(keyName)]);
  return Buffer.concat([SIGNATURE, Buffer.of(command, family), be16(body.length), body]);
}

/** The header of a connection that has no client, such as a health check of the service. */
export function ownProxyHeader(): Uint8Array {
  return proxyHeader({ kind: "unix" }, undefined);
}

interface Described {
  readonly command: number;
  readonly family: number;
  readonly addresses: Uint8Array;
}

function described(ends: SocketEnds): Described {
  switch (ends.kind) {
    case "unix":
      return { command: COMMAND.local, family: FAMILY.none, addresses: NOTHING };
    case "tcp": {
      const { remote, local } = ends;
      const both = [ipv6Bytes(remote.address), ipv6Bytes(local.address)];
      // A socket that listens on [::] reports an IPv4 client as ::ffff:192.0.2.1; announce it as IPv4.
      const isV4 = both.every(isMapped);
      const addresses = isV4 ? both.map((address) => address.subarray(12)) : both;
      return {
        command: COMMAND.proxy,
        family: isV4 ? FAMILY.tcp4 : FAMILY.tcp6,
        addresses: Buffer.concat([...addresses, be16(remote.port), be16(local.port)]),
      };
    }
  }
}

function keyNameField(keyName: string): Uint8Array {
  const name = pathBytes(keyName);
  // Never truncate: the result could be the name of another key.
  if (name.length < 1 || name.length > MAX_KEY_NAME_BYTES) {
    throw new SpipedError("SPIPED_INTERNAL", `the name of a key has ${name.length} bytes`);
  }
  return Buffer.concat([Buffer.of(KEY_NAME_TYPE), be16(name.length), name]);
}

/** The 16 bytes of an address, with IPv4 mapped to ::ffff:192.0.2.1. A scope is dropped: it is local to this machine. */
function ipv6Bytes(text: string): Buffer {
  const address = text.replace(/%.*$/s, "");
  const full = isIP(address) === 4 ? `::ffff:${address}` : address;
  if (isIP(full) !== 6) throw new SpipedError("SPIPED_INTERNAL", `${JSON.stringify(text)} is not an IP address`);
  const [head = "", tail = ""] = full.split("::");
  const [before, after] = [groupsOf(head), groupsOf(tail)];
  const zeros = new Array<number>(8 - before.length - after.length).fill(0);
  return Buffer.concat([...before, ...zeros, ...after].map(be16));
}

/** The 16-bit groups of an IPv6 address; the last two may be written as an IPv4 address. */
function groupsOf(part: string): readonly number[] {
  if (part === "") return [];
  return part.split(":").flatMap((group) => {
    if (!group.includes(".")) return [Number.parseInt(group, 16)];
    const bytes = Buffer.from(group.split(".").map(Number));
    return [bytes.readUInt16BE(0), bytes.readUInt16BE(2)];
  });
}

function isMapped(address: Buffer): boolean {
  return address.subarray(0, 12).equals(MAPPED);
}

function be16(value: number): Buffer {
  const bytes = Buffer.alloc(2);
  bytes.writeUInt16BE(value);
  return bytes;
}

const NOTHING = new Uint8Array(0);
const MAPPED = Buffer.from("00000000000000000000ffff", "hex");
