// Loops among tunnels, of any length.

import assert from "node:assert/strict";
import fs, { mkdirSync, symlinkSync } from "node:fs";
import { syncBuiltinESMExports } from "node:module";
import { join } from "node:path";
import { test } from "node:test";
import type { SocketAddress } from "#dist/net/address.js";
import { loopsOf } from "#dist/net/loops.js";
import { temporaryFolder } from "../../support/cleanup.js";

const port = (number: number, address = "127.0.0.1"): SocketAddress => ({
  kind: "tcp",
  family: address.includes(":") ? 6 : 4,
  address,
  port: number,
});

/** Tunnels by their names, each from a port to others. */
function loopsIn(tunnels: Readonly<Record<string, readonly [from: number, ...to: number[]]>>): readonly string[] {
  const ends = Object.entries(tunnels).map(([name, [from, ...to]]) => ({
    name,
    source: port(from),
    targets: to.map((number) => port(number)),
  }));
  return loopsOf(ends).map((loop) => loop.map(({ name }) => name).join(" "));
}

for (const [what, tunnels, loops] of [
  ["no tunnels", {}, []],
  ["a chain", { a: [1, 2], b: [2, 3], c: [3, 4] }, []],
  ["two ways to one end", { a: [1, 2, 3], b: [2, 4], c: [3, 4] }, []],
  ["a tunnel that leads to itself", { a: [1, 2], b: [2, 2] }, ["b"]],
  ["two that lead to each other", { a: [1, 2], b: [2, 1] }, ["a b"]],
  ["a loop behind a chain", { a: [1, 2], b: [2, 3], c: [3, 4], d: [4, 2] }, ["b c d"]],
  ["a loop through one of several addresses", { a: [1, 9, 2], b: [2, 8, 1] }, ["a b"]],
  ["two loops", { a: [1, 2], c: [3, 4], b: [2, 1], d: [4, 3] }, ["a b", "c d"]],
  ["two loops that share a tunnel", { a: [1, 2], b: [2, 1, 3], c: [3, 2] }, ["a b", "b c"]],
  ["a loop that is entered in its middle", { a: [9, 3], b: [1, 2], c: [2, 3], d: [3, 1] }, ["b c d"]],
] as const) {
  test(`loops of ${what}: ${loops.join(", ") || "none"}`, () => {
    assert.deepEqual(loopsIn(tunnels), loops);
  });
}

test("a loop of a thousand tunnels is found", () => {
  const ring = Array.from({ length: 1_000 }, (_, at) => ({
    source: port(at + 1),
    targets: [port(((at + 1) % 1_000) + 1)],
  }));
  assert.deepEqual(loopsOf(ring), [ring]);
});

test("the path of each UNIX socket is resolved once, however long the chain", async (t) => {
  const folder = await temporaryFolder(t);
  const unix = (at: number): SocketAddress => ({ kind: "unix", path: join(folder, String(at)) });
  const resolved = t.mock.method(fs, "realpathSync");
  syncBuiltinESMExports();
  const chain = Array.from({ length: 100 }, (_, at) => ({ source: unix(at), targets: [unix(at + 1)] }));
  assert.deepEqual(loopsOf(chain), []);
  assert.equal(resolved.mock.callCount(), 200);
  resolved.mock.restore();
  syncBuiltinESMExports();
});

test("a loop over all addresses, and one over a link to a folder, are found", async (t) => {
  const all = [
    { source: port(1, "::"), targets: [port(2)] },
    { source: port(2, "0.0.0.0"), targets: [port(1)] },
  ];
  assert.deepEqual(loopsOf(all), [all]);
  const folder = await temporaryFolder(t);
  mkdirSync(join(folder, "real"));
  symlinkSync("real", join(folder, "link"));
  const unix = (path: string): SocketAddress => ({ kind: "unix", path: join(folder, path) });
  const linked = [
    { source: unix("real/a"), targets: [unix("link/b")] },
    { source: unix("real/b"), targets: [unix("link/a")] },
  ];
  assert.deepEqual(loopsOf(linked), [linked]);
});
