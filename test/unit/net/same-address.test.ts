// Which addresses reach a listening socket of this machine, and which exclude each other.

import assert from "node:assert/strict";
import { test } from "node:test";
import type { SocketAddress } from "#dist/net/address.js";
import { conflictsWith, leadsTo } from "#dist/net/same-address.js";

function addressOf(text: string): SocketAddress {
  if (text.startsWith("/")) return { kind: "unix", path: text };
  const [, address = "", port] = /^\[(.*)\]:(\d+)$/.exec(text) ?? [];
  return { kind: "tcp", family: address.includes(":") ? 6 : 4, address, port: Number(port) };
}

for (const [target, source, leads] of [
  ["[127.0.0.1]:80", "[127.0.0.1]:80", true],
  ["[127.0.0.1]:80", "[127.0.0.1]:81", false],
  ["[127.0.0.1]:80", "[127.0.0.2]:80", false],
  ["[127.0.0.9]:80", "[0.0.0.0]:80", true],
  ["[0.0.0.0]:80", "[0.0.0.0]:80", true],
  ["[127.0.0.1]:80", "[::]:80", true],
  ["[::1]:80", "[::]:80", true],
  ["[192.0.2.1]:80", "[0.0.0.0]:80", false],
  ["[0.0.0.0]:80", "[127.0.0.1]:80", true],
  ["[0.0.0.0]:80", "[127.0.0.2]:80", false],
  ["[::]:80", "[::1]:80", true],
  ["[::]:80", "[127.0.0.1]:80", false],
  ["[::ffff:127.0.0.1]:80", "[127.0.0.1]:80", true],
  ["[::ffff:7f00:1]:80", "[0.0.0.0]:80", true],
  ["[0:0:0:0:0:0:0:1]:80", "[::1]:80", true],
  ["[fe80::1%lo]:80", "[fe80::1%lo]:80", true],
  ["/run/a", "/run/a", true],
  ["/run/a", "/run/b", false],
  ["/run/a", "[127.0.0.1]:80", false],
] as const) {
  test(`${target} ${leads ? "leads" : "does not lead"} to what listens on ${source}`, () => {
    assert.equal(leadsTo(addressOf(target), addressOf(source)), leads);
  });
}

for (const [one, other, excludes] of [
  ["[127.0.0.1]:80", "[127.0.0.1]:80", true],
  ["[127.0.0.1]:80", "[127.0.0.1]:81", false],
  ["[127.0.0.1]:80", "[127.0.0.2]:80", false],
  ["[0.0.0.0]:80", "[192.0.2.1]:80", true],
  ["[0.0.0.0]:80", "[::1]:80", false],
  ["[::]:80", "[2001:db8::1]:80", true],
  ["[::]:80", "[127.0.0.1]:80", process.platform === "linux"],
  ["[::ffff:192.0.2.1]:80", "[0.0.0.0]:80", true],
  ["[2001:db8:0:0::1]:80", "[2001:db8::1]:80", true],
  ["[127.0.0.1]:0", "[127.0.0.1]:0", false],
  ["/run/a", "/run/a", true],
  ["/usr/a", "/usr/../usr/a", true],
  ["/run/a", "/run/b", false],
  ["/run/a", "[127.0.0.1]:80", false],
] as const) {
  test(`${one} and ${other} ${excludes ? "cannot both" : "can both"} be listened on`, () => {
    assert.equal(conflictsWith(addressOf(one), addressOf(other)), excludes);
    assert.equal(conflictsWith(addressOf(other), addressOf(one)), excludes);
  });
}
