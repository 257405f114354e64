// Parsing and formatting of addresses.

import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { SpipedError } from "#dist/errors.js";
import {
  type Address,
  formatAddress,
  parseAddress,
  parseBindAddress,
  parseLocalAddress,
  parseSourceAddress,
  parseTargetAddress,
} from "#dist/net/address.js";
import { onPlatform } from "../support/platform.js";

const unix = (path: string): Address => ({ kind: "unix", path });
const literal = (host: string, service: string): Address => ({ kind: "host", host, literal: true, service });
const named = (host: string, service: string): Address => ({ kind: "host", host, literal: false, service });

const longest = `/${"p".repeat(106)}`;

const right: ReadonlyArray<readonly [text: string, address: Address, formatted?: string]> = [
  ["/run/spiped.sock", unix("/run/spiped.sock")],
  ["/", unix("/")],
  ["/with a blank:and a colon", unix("/with a blank:and a colon")],
  ["/[::1]:80", unix("/[::1]:80")],
  ["/trailing blank ", unix("/trailing blank ")],
  [longest, unix(longest)],
  [`/${"ü".repeat(53)}`, unix(`/${"ü".repeat(53)}`)],
  ["[127.0.0.1]:8022", literal("127.0.0.1", "8022")],
  ["[0.0.0.0]:0", literal("0.0.0.0", "0")],
  ["[::1]:8022", literal("::1", "8022")],
  ["[::]:65535", literal("::", "65535")],
  ["[2001:db8::1]:1", literal("2001:db8::1", "1")],
  ["[::ffff:10.0.0.1]:443", literal("::ffff:10.0.0.1", "443")],
  ["[fe80::1%eth0]:443", literal("fe80::1%eth0", "443")],
  ["[::1]:ssh", literal("::1", "ssh")],
  ["127.0.0.1:8022", literal("127.0.0.1", "8022"), "[127.0.0.1]:8022"],
  ["::1:8022", literal("::1", "8022"), "[::1]:8022"],
  [":::8022", literal("::", "8022"), "[::]:8022"],
  ["2001:db8::1:80", literal("2001:db8::1", "80"), "[2001:db8::1]:80"],
  ["1:2:3:4:5:6:7:8:80", literal("1:2:3:4:5:6:7:8", "80"), "[1:2:3:4:5:6:7:8]:80"],
  ["::ffff:10.0.0.1:443", literal("::ffff:10.0.0.1", "443"), "[::ffff:10.0.0.1]:443"],
  ["fe80::1%eth0:443", literal("fe80::1%eth0", "443"), "[fe80::1%eth0]:443"],
  ["::1:ssh", literal("::1", "ssh"), "[::1]:ssh"],
  ["localhost:8022", named("localhost", "8022")],
  ["far.example:ssh", named("far.example", "ssh")],
  ["far.example.:80", named("far.example.", "80")],
  ["xn--mnchen-3ya.example:80", named("xn--mnchen-3ya.example", "80")],
  ["münchen.example:80", named("münchen.example", "80")],
  ["host_with_underscore:80", named("host_with_underscore", "80")],
  ["host:z3950-s.x+y_z", named("host", "z3950-s.x+y_z")],
  ["host:00080", named("host", "80"), "host:80"],
  ["host:0", named("host", "0")],
  ["host:00000", named("host", "0"), "host:0"],
  ["host:65535", named("host", "65535")],
];

for (const [text, address, formatted = text] of right) {
  test(`${JSON.stringify(shortened(text))} is an address`, () => {
    assert.deepEqual(parseAddress(text), address);
    assert.ok(Object.isFrozen(parseAddress(text)));
    assert.equal(formatAddress(parseAddress(text)), formatted);
  });
}

const wrong: ReadonlyArray<readonly [text: string, why: RegExp]> = [
  ["", /it is empty/],
  [" ", /blank/],
  [":80", /host is missing/],
  ["host", /port is missing/],
  ["host:", /port is missing/],
  ["127.0.0.1", /port is missing/],
  ["[127.0.0.1]", /port is missing/],
  ["[127.0.0.1]:", /port is missing/],
  ["[::1]", /port is missing/],
  ["[::1]:", /port is missing/],
  [" host:80", /blank/],
  ["host:80 ", /blank/],
  ["\thost:80", /blank/],
  ["host:80\n", /blank/],
  [" /run/socket", /blank/],
  [" [::1]:80", /blank/],
  ["ho st:80", /invalid host name/],
  ["host :80", /invalid host name/],
  ["host: 80", /invalid port/],
  ["relative/path", /port is missing/],
  ["relative/path:80", /invalid host name/],
  ["./socket:80", /invalid host name/],
  ["::1", /port is missing$/],
  ["*:80", /invalid host name/],
  ["80", /host is missing/],
  ["1:2:3:4:5:6:7:8", /port is missing$/],
  ["::g:80", /brackets/],
  ["2001:db8::1", /port is missing$/],
  ["a:b:80", /brackets/],
  ["[::1", /closing bracket/],
  ["[::1:80", /closing bracket/],
  ["::1]:80", /invalid host name/],
  ["[::1]80", /colon and the port/],
  ["[::1] :80", /colon and the port/],
  ["[::1]]:80", /colon and the port/],
  ["[]:80", /not an IP address/],
  ["[localhost]:80", /not an IP address/],
  ["[1.2.3]:80", /not an IP address/],
  ["[1.2.3.256]:80", /not an IP address/],
  ["[1.2.3.4.5]:80", /not an IP address/],
  ["[::g]:80", /not an IP address/],
  ["[1::2::3]:80", /not an IP address/],
  ["[ ::1]:80", /not an IP address/],
  ["host:65536", /above 65535/],
  ["host:99999", /above 65535/],
  ["host:100000", /above 65535/],
  ["host:99999999999999999999", /above 65535/],
  ["[::1]:65536", /above 65535/],
  ["host:-1", /invalid port/],
  ["host:+80", /invalid port/],
  ["host:8o80!", /invalid port/],
  ["host:80 80", /invalid port/],
  [`/${"p".repeat(107)}`, /108 bytes/],
  [`/${"ü".repeat(54)}`, /109 bytes/],
  ["/zero\0byte", /zero byte/],
  ["zero\0byte:80", /invalid host name/],
  ["bell\u0007:80", /invalid host name/],
  ["next\u0085line:80", /invalid host name/],
  ["latin-1\udce9:80", /invalid host name/],
];

for (const [text, why] of wrong) {
  test(`${JSON.stringify(shortened(text))} is not an address`, () => {
    assert.throws(() => parseAddress(text), isClear(why, text));
  });
}

const rightBinds: ReadonlyArray<readonly [text: string, address: Address]> = [
  ["[127.0.0.1]", literal("127.0.0.1", "0")],
  ["[::1]", literal("::1", "0")],
  ["127.0.0.1", literal("127.0.0.1", "0")],
  ["near.example", named("near.example", "0")],
  ["[127.0.0.1]:1024", literal("127.0.0.1", "1024")],
  ["[::1]:1024", literal("::1", "1024")],
  ["127.0.0.1:1024", literal("127.0.0.1", "1024")],
  ["near.example:1024", named("near.example", "1024")],
  ["[::1]:0", literal("::1", "0")],
];

for (const [text, address] of rightBinds) {
  test(`${JSON.stringify(text)} is an address to bind to`, () => {
    assert.deepEqual(parseBindAddress(text), address);
  });
}

for (const [text, why] of [
  ["", /it is empty/],
  ["/run/socket", /UNIX socket/],
  [":80", /host is missing/],
  ["host:", /port is missing/],
  ["[::1]:", /port is missing/],
  ["[::1]80", /colon and the port/],
  ["[localhost]", /not an IP address/],
  [" host", /blank/],
  ["host ", /invalid host name/],
  ["::1", /brackets/],
  ["fe80::1", /brackets/],
  ["2001:db8::1:80", /brackets/],
  ["host:65536", /above 65535/],
] as const) {
  test(`${JSON.stringify(text)} is not an address to bind to`, () => {
    assert.throws(() => parseBindAddress(text), isClear(why, text));
  });
}

for (const text of ["[::1]:0", "127.0.0.1:0", "host:0", "host:00", "::1:0"]) {
  test(`${JSON.stringify(text)} is not an address to connect to`, () => {
    assert.throws(() => parseTargetAddress(text), isClear(/cannot connect to port 0/));
  });
}

for (const text of ["/run/socket", "[::1]:1", "host:ssh", "host:65535"]) {
  test(`${JSON.stringify(text)} is an address to connect to`, () => {
    assert.deepEqual(parseTargetAddress(text), parseAddress(text));
  });
}

test("an invalid bare port of a local address is quoted as it was typed", () => {
  assert.throws(() => parseLocalAddress("65536"), isClear(/the port is above 65535/, "65536"));
  for (const text of ["8080x", "x8080"]) {
    assert.throws(() => parseLocalAddress(text), isClear(/the port is missing/, text));
  }
});

test("a socket address is formatted with brackets", () => {
  assert.equal(formatAddress({ kind: "tcp", family: 4, address: "10.0.0.1", port: 80 }), "[10.0.0.1]:80");
  assert.equal(formatAddress({ kind: "tcp", family: 6, address: "fe80::1%eth0", port: 80 }), "[fe80::1%eth0]:80");
});

test("parsing any text gives an address or a clear error, and a formatted address parses to the same address", () => {
  const likely = fc.stringMatching(/^[[\]:/a-f0-9. %-]{0,40}$/);
  fc.assert(
    fc.property(fc.oneof(fc.string(), likely, fc.ipV4(), fc.ipV6()), (text) => {
      let address: Address;
      try {
        address = parseAddress(text);
      } catch (error) {
        assert.ok(error instanceof SpipedError && error.code === "SPIPED_ADDRESS");
        return;
      }
      assert.deepEqual(parseAddress(formatAddress(address)), address);
    }),
    { numRuns: 2_000 },
  );
});

test("any IP address in brackets with any port is accepted", () => {
  const host = fc.oneof(fc.ipV4(), fc.ipV6());
  fc.assert(
    fc.property(host, fc.integer({ min: 0, max: 65_535 }), (address, port) => {
      assert.deepEqual(parseAddress(`[${address}]:${port}`), literal(address, String(port)));
    }),
  );
});

/** An error that names what was written, says why, and how to write it. */
/** @param text - What the error has to name; not looked at when absent. */
function isClear(why: RegExp, text?: string) {
  return (error: unknown): true => {
    assert.ok(error instanceof SpipedError);
    assert.equal(error.code, "SPIPED_ADDRESS");
    assert.match(error.message, /^bad address "/);
    if (text !== undefined) assert.ok(error.message.startsWith(`bad address ${JSON.stringify(text)}: `), error.message);
    assert.match(error.message, why);
    assert.equal(error.hint, "write /absolute/path, [IPv4]:port, [IPv6]:port or host:port");
    return true;
  };
}

function shortened(text: string): string {
  return text.length > 40 ? `${text.slice(0, 8)}… (${text.length})` : text;
}

test("a source can be a socket of the service manager, by name or as the only one", (t) => {
  onPlatform(t, "linux");
  for (const name of ["", "redis", "spiped@ssh.socket", "a b", "8022"]) {
    const source = { kind: "systemd", name } as const;
    assert.deepEqual(parseSourceAddress(`systemd:${name}`), source);
    assert.equal(formatAddress(source), `systemd:${name}`);
  }
  assert.deepEqual(parseSourceAddress("[::1]:1"), parseAddress("[::1]:1"));
  // In other addresses, it is a host name.
  assert.deepEqual(parseTargetAddress("systemd:80"), { kind: "host", host: "systemd", literal: false, service: "80" });
  assert.throws(
    () => parseLocalAddress("systemd:x"),
    isClear(/"systemd:x": sockets of the service manager cannot be used here$/),
  );
  for (const text of ["systemd:a:b", "systemd:\n", "systemd:ü", `systemd:${"x".repeat(256)}`])
    assert.throws(() => parseSourceAddress(text), isClear(/invalid socket name/));
  onPlatform(t, "win32");
  assert.throws(() => parseSourceAddress("systemd:x"), /there is no systemd on Windows$/);
});
