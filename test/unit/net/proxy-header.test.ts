// The PROXY header, byte by byte and against an independent parser.

import assert from "node:assert/strict";
import { SocketAddress } from "node:net";
import { test } from "node:test";
import fc from "fast-check";
import { MAX_KEY_NAME_BYTES, proxyHeader, type SocketEnds } from "#dist/net/proxy-header.js";
import { textOfBytes } from "#dist/paths.js";
import { parseProxyHeader } from "../../support/proxy-header.js";
import { sameBytes } from "../support/bytes.js";
import { throwsSpipedError } from "../support/errors.js";

const keyNameType = 0xe0;
const signature = "0d0a0d0a000d0a515549540a";

const tcp = (remote: string, remotePort: number, local: string, localPort: number): SocketEnds => ({
  kind: "tcp",
  remote: { address: remote, port: remotePort },
  local: { address: local, port: localPort },
});

const known: ReadonlyArray<readonly [what: string, ends: SocketEnds, keyName: string | undefined, hex: string]> = [
  [
    "an IPv4 client",
    tcp("192.0.2.7", 40_000, "198.51.100.1", 8_022),
    undefined,
    `${signature}2111000c c0000207c6336401 9c40 1f56`,
  ],
  [
    "an IPv6 client",
    tcp("2001:db8::7", 1, "2001:db8:1:2:3:4:5:6", 65_535),
    undefined,
    `${signature}21210024 20010db8000000000000000000000007 20010db8000100020003000400050006 0001 ffff`,
  ],
  [
    "an IPv4 client of a socket that listens on [::]",
    tcp("::ffff:192.0.2.7", 40_000, "::ffff:198.51.100.1", 8_022),
    undefined,
    `${signature}2111000c c0000207c6336401 9c40 1f56`,
  ],
  [
    "a link-local client, without its scope",
    tcp("fe80::1%eth0", 256, "fe80::2%eth0", 255),
    undefined,
    `${signature}21210024 fe800000000000000000000000000001 fe800000000000000000000000000002 0100 00ff`,
  ],
  ["a client on a UNIX socket, as no address", { kind: "unix" }, undefined, `${signature}20000000`],
  [
    "an IPv4 client with a named key",
    tcp("192.0.2.7", 40_000, "198.51.100.1", 8_022),
    "alice",
    `${signature}21110014 c0000207c6336401 9c40 1f56 e00005616c696365`,
  ],
  ["a client on a UNIX socket with a named key", { kind: "unix" }, "ü", `${signature}20000005 e00002c3bc`],
  [
    "a named key whose name is not UTF-8",
    { kind: "unix" },
    textOfBytes(Buffer.from([0x61, 0xff])),
    `${signature}20000005 e0000261ff`,
  ],
];

for (const [what, ends, keyName, hex] of known) {
  test(`announces ${what}`, () => {
    sameBytes(proxyHeader(ends, keyName), Buffer.from(hex.replaceAll(" ", ""), "hex"));
  });
}

test("any addresses, ports and names survive a round trip", () => {
  const port = fc.integer({ min: 0, max: 65_535 });
  const name = fc.option(
    fc.uint8Array({ minLength: 1, maxLength: MAX_KEY_NAME_BYTES }).map((bytes) => Buffer.from(bytes)),
  );
  for (const [address, width] of [
    [fc.ipV4(), 4],
    [fc.ipV6(), 16],
  ] as const) {
    fc.assert(
      fc.property(address, port, address, port, name, (remote, remotePort, local, localPort, key) => {
        const keyName = key === null ? undefined : textOfBytes(key);
        const read = parseProxyHeader(proxyHeader(tcp(remote, remotePort, local, localPort), keyName));
        assert.equal(read.command, "PROXY");
        const isV4 = width === 4 || [remote, local].every(isMapped);
        assert.equal(read.family, isV4 ? "TCP4" : "TCP6");
        if (!isV4) {
          assert.equal(canonical(read.source), `${canonicalAddress(remote)} ${remotePort}`);
          assert.equal(canonical(read.destination), `${canonicalAddress(local)} ${localPort}`);
        } else if (width === 4) {
          assert.equal(read.source, `${remote} ${remotePort}`);
          assert.equal(read.destination, `${local} ${localPort}`);
        }
        assert.deepEqual([...read.fields], key === null ? [] : [[keyNameType, key]]);
      }),
    );
  }
});

test("names of 1 to 255 bytes are sent whole; other lengths are internal errors", () => {
  for (const length of [1, MAX_KEY_NAME_BYTES]) {
    const { fields } = parseProxyHeader(proxyHeader({ kind: "unix" }, "n".repeat(length)));
    assert.equal(fields.get(keyNameType)?.length, length);
  }
  for (const wrong of ["", "n".repeat(MAX_KEY_NAME_BYTES + 1), "ü".repeat(128)]) {
    throwsSpipedError(
      () => proxyHeader({ kind: "unix" }, wrong),
      "SPIPED_INTERNAL",
      /^the name of a key has \d+ bytes$/,
    );
  }
});

test("the longest header fits into one packet, and its length field is correct", () => {
  const longest = "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff";
  const header = proxyHeader(tcp(longest, 65_535, longest, 65_535), "n".repeat(MAX_KEY_NAME_BYTES));
  assert.equal(header.length, 310);
});

test("an invalid address is an internal error, not an address of zeros", () => {
  for (const wrong of ["", "localhost", "1.2.3", "%eth0", "::1::2", "[::1]"]) {
    throwsSpipedError(
      () => proxyHeader(tcp(wrong, 1, "::1", 2), undefined),
      "SPIPED_INTERNAL",
      /is not an IP address$/,
    );
    throwsSpipedError(
      () => proxyHeader(tcp("::1", 1, wrong, 2), undefined),
      "SPIPED_INTERNAL",
      /is not an IP address$/,
    );
  }
});

/** The address in the format of Node, which has a parser of its own. */
function canonicalAddress(address: string): string {
  return new SocketAddress({ address, family: "ipv6" }).address;
}

function canonical(end: string | undefined): string {
  const [address = "", port = ""] = (end ?? "").split(" ");
  return `${canonicalAddress(address)} ${port}`;
}

function isMapped(address: string): boolean {
  return canonicalAddress(address).startsWith("::ffff:") && canonicalAddress(address).includes(".");
}
