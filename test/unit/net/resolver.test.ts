// Resolving addresses with the system's resolver.

import assert from "node:assert/strict";
import { getEventListeners } from "node:events";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { SpipedError } from "#dist/errors.js";
import { addon, type LookupResult } from "#dist/native/native.js";
import { parseAddress, parseBindAddress } from "#dist/net/address.js";
import { resolve, resolveBind } from "#dist/net/resolver.js";
import { rejectsSpipedError } from "../support/errors.js";

type Done = (found: LookupResult) => void;

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

test("localhost resolves to loopback addresses, each once", async () => {
  const found = await resolve(parseAddress("localhost:80"));
  assert.ok(found.length >= 1);
  for (const one of found) {
    assert.ok(one.kind === "tcp" && one.port === 80);
    assert.match(one.address, /^(127\.|::1$)/);
  }
  assert.equal(new Set(found.map((one) => JSON.stringify(one))).size, found.length);
});

test("a UNIX socket needs no lookup", async () => {
  const address = parseAddress("/run/socket");
  assert.deepEqual(await resolve(address), [address]);
});

const services = serviceList();
test("service names resolve to their ports", {
  skip: services.length === 0 ? "SKIPPED: this system has no /etc/services" : false,
}, async () => {
  for (const [name, port] of services) {
    const [found] = await resolve(parseAddress(`[127.0.0.1]:${name}`));
    assert.ok(found.kind === "tcp");
    assert.equal(found.port, port, name);
  }
});

test("an unknown host is an error that names it and says what to check", async () => {
  await assert.rejects(resolve(parseAddress("nobody.invalid:80")), (error) => {
    assert.ok(error instanceof SpipedError);
    assert.equal(error.code, "SPIPED_RESOLVE");
    assert.match(error.message, /^cannot resolve nobody\.invalid:80: ./);
    assert.match(error.hint ?? "", /check the name/);
    return true;
  });
});

test("an unknown service is an error that names it", async () => {
  const unknown = resolve(parseAddress("[127.0.0.1]:no-such-service"));
  await rejectsSpipedError(unknown, "SPIPED_RESOLVE", /^cannot resolve \[127\.0\.0\.1\]:no-such-service: ./);
});

test("a lookup without results is an error", async (t) => {
  t.mock.method(addon, "resolve", (_host: string, _service: string, done: Done) => done({ addresses: [] }));
  await rejectsSpipedError(resolve(parseAddress("empty.example:80")), "SPIPED_RESOLVE", /no address found/);
});

test("of an unknown name with an unknown service, the service is the mistake that is named", async (t) => {
  const asked: string[] = [];
  t.mock.method(addon, "resolve", (host: string, service: string, done: Done) => {
    asked.push(`${host}:${service}`);
    done({ addresses: [] });
  });
  const unknown = resolve(parseAddress("nobody.example:no-such-service"));
  await rejectsSpipedError(unknown, "SPIPED_RESOLVE", /: unknown service "no-such-service"$/);
  assert.deepEqual(asked, ["nobody.example:no-such-service", "127.0.0.1:no-such-service"]);
});

test("a lookup for which no thread can be started is an error, and the next one starts", async (t) => {
  const refused = t.mock.method(addon, "resolve", () => {
    throw new Error("no thread for the lookup");
  });
  await rejectsSpipedError(resolve(parseAddress("localhost:80")), "SPIPED_RESOLVE", /no thread for the lookup/);
  refused.mock.restore();
  assert.ok((await resolve(parseAddress("localhost:80"))).length > 0);
});

for (const text of ["[127.0.0.1]:80", "127.0.0.1:80", "[::1]:0", "[0:0::1]:80"]) {
  test(`${text} needs no lookup`, async (t) => {
    const asked = t.mock.method(addon, "resolve", () => assert.fail("the system was asked"));
    assert.equal((await resolve(parseAddress(text))).length, 1);
    assert.equal(asked.mock.callCount(), 0);
  });
}

test("an address of a nonexistent interface is an error that names it", async () => {
  const unknown = resolve(parseAddress("[fe80::1%no-such-interface]:80"));
  await rejectsSpipedError(unknown, "SPIPED_RESOLVE", /^cannot resolve \[fe80::1%no-such-interface\]:80: ./);
});

test("a lookup that exceeds its timeout fails with a message that says so", async (t) => {
  t.mock.timers.enable({ apis: ["setTimeout"] });
  t.mock.method(addon, "resolve", () => undefined);
  const waiting = resolve(parseAddress("silent.example:80"), { timeoutMs: 1_500 });
  let isOver = false;
  waiting.catch(() => (isOver = true));
  t.mock.timers.tick(1_499);
  await new Promise((soon) => setImmediate(soon));
  assert.equal(isOver, false);
  t.mock.timers.tick(1);
  await rejectsSpipedError(waiting, "SPIPED_TIMEOUT", /^lookup of silent\.example:80 timed out after 1\.5 s$/);
});

test("a signal ends a lookup with its reason, before and during it", async (t) => {
  const asked = t.mock.method(addon, "resolve", () => undefined);
  const reason = new Error("no more");
  await assert.rejects(
    resolve(parseAddress("never.example:80"), { signal: AbortSignal.abort(reason) }),
    (error) => error === reason,
  );
  assert.equal(asked.mock.callCount(), 0);
  const abort = new AbortController();
  const waiting = resolve(parseAddress("hung.example:80"), { signal: abort.signal });
  abort.abort(reason);
  await assert.rejects(waiting, (error) => error === reason);
  assert.equal(getEventListeners(abort.signal, "abort").length, 0);
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

test("a local address is resolved, and undefined stays undefined", async () => {
  assert.equal(await resolveBind(undefined), undefined);
  assert.deepEqual(await resolveBind(parseBindAddress("[127.0.0.1]")), [
    { kind: "tcp", family: 4, address: "127.0.0.1", port: 0 },
  ]);
});
