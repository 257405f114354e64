// Looking addresses up with the system's own resolver.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { SpipedError } from "#dist/errors.js";
import { addon } from "#dist/native/native.js";
import { parseAddress, parseBindAddress } from "#dist/net/address.js";
import { resolve, resolveBind } from "#dist/net/resolver.js";
import { rejectsSpipedError } from "../support/errors.js";

for (const [text, family, address, port] of [
  ["[127.0.0.1]:0", 4, "127.0.0.1", 0],
  ["[127.0.0.1]:65535", 4, "127.0.0.1", 65_535],
  ["127.0.0.1:80", 4, "127.0.0.1", 80],
  ["[::1]:80", 6, "::1", 80],
  ["[0:0:0:0:0:0:0:1]:80", 6, "::1", 80],
  ["[::ffff:127.0.0.1]:80", 6, "::ffff:127.0.0.1", 80],
] as const) {
  test(`${text} is itself, and only once`, async () => {
    assert.deepEqual(await resolve(parseAddress(text)), [{ kind: "tcp", family, address, port }]);
  });
}

test("localhost is one or more addresses of loopback, each once", async () => {
  const found = await resolve(parseAddress("localhost:80"));
  assert.ok(found.length >= 1);
  for (const one of found) {
    assert.ok(one.kind === "tcp" && one.port === 80);
    assert.match(one.address, /^(127\.|::1$)/);
  }
  assert.equal(new Set(found.map((one) => JSON.stringify(one))).size, found.length);
});

test("a UNIX socket needs no look-up", async () => {
  const address = parseAddress("/run/socket");
  assert.deepEqual(await resolve(address), [address]);
});

const services = serviceList();
test("the system's service names stand for their ports", {
  skip: services.length === 0 ? "SKIPPED: this system has no /etc/services" : false,
}, async () => {
  for (const [name, port] of services) {
    const [found] = await resolve(parseAddress(`[127.0.0.1]:${name}`));
    assert.ok(found.kind === "tcp");
    assert.equal(found.port, port, name);
  }
});

test("a name that nobody has is an error that names it and says what to check", async () => {
  await assert.rejects(resolve(parseAddress("nobody.invalid:80")), (error) => {
    assert.ok(error instanceof SpipedError);
    assert.equal(error.code, "SPIPED_RESOLVE");
    assert.match(error.message, /^cannot look up nobody\.invalid:80: ./);
    assert.match(error.hint ?? "", /check the name/);
    return true;
  });
});

test("a service that nobody has is an error that names it", async () => {
  const unknown = resolve(parseAddress("[127.0.0.1]:no-such-service"));
  await rejectsSpipedError(unknown, "SPIPED_RESOLVE", /^cannot look up \[127\.0\.0\.1\]:no-such-service: ./);
});

test("look-ups wait for each other, also for one that fails", async (t) => {
  const begun: string[] = [];
  const pending: Array<{ readonly succeed: () => void; readonly fail: () => void }> = [];
  t.mock.method(addon, "resolve", (host: string) => {
    begun.push(host);
    return new Promise((resolveLookUp, reject) => {
      pending.push({
        succeed: () => resolveLookUp([{ family: 4, address: "192.0.2.1", port: 80 }]),
        fail: () => reject(new Error("no name server answers")),
      });
    });
  });
  const [first, second, third] = ["one", "two", "three"].map((name) => resolve(parseAddress(`${name}.example:80`)));
  assert.ok(first !== undefined && second !== undefined && third !== undefined);
  await Promise.resolve();
  assert.deepEqual(begun, ["one.example"]);
  pending[0]?.fail();
  await rejectsSpipedError(first, "SPIPED_RESOLVE", /no name server answers/);
  await Promise.resolve();
  assert.deepEqual(begun, ["one.example", "two.example"]);
  pending[1]?.succeed();
  assert.deepEqual(await second, [{ kind: "tcp", family: 4, address: "192.0.2.1", port: 80 }]);
  await Promise.resolve();
  assert.deepEqual(begun, ["one.example", "two.example", "three.example"]);
  pending[2]?.succeed();
  await third;
});

test("a look-up that gives nothing is an error too", async (t) => {
  t.mock.method(addon, "resolve", () => Promise.resolve([]));
  await rejectsSpipedError(resolve(parseAddress("empty.example:80")), "SPIPED_RESOLVE", /no address found/);
});

/** Some TCP services of this system. */
function serviceList(): ReadonlyArray<readonly [name: string, port: number]> {
  let text: string;
  try {
    text = readFileSync("/etc/services", "utf8");
  } catch {
    return [];
  }
  const found = new Map<string, number>();
  for (const [, name, port] of text.matchAll(/^([a-z][a-z0-9-]*)\s+(\d+)\/tcp\b/gm)) {
    if (name !== undefined && port !== undefined && !found.has(name)) found.set(name, Number(port));
  }
  return [...found].slice(0, 20);
}

test("a local address is looked up, and none stays none", async () => {
  assert.equal(await resolveBind(undefined), undefined);
  assert.deepEqual(await resolveBind(parseBindAddress("[127.0.0.1]")), [
    { kind: "tcp", family: 4, address: "127.0.0.1", port: 0 },
  ]);
});
