// The status server over real sockets, and its limits.

import assert from "node:assert/strict";
import { existsSync, statSync } from "node:fs";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { isLoopback, MAX_CONNECTIONS, StatusServer } from "#dist/status/server.js";
import type { Snapshot } from "#dist/status/snapshot.js";
import type { Address } from "../../support/addresses.js";
import { afterwards, limits, temporaryFolder, until } from "../../support/cleanup.js";
import { kindsHere } from "../../support/environment.js";
import { get } from "../../support/status.js";
import { TestSocket } from "../../support/test-socket.js";
import { throwsSpipedError } from "../support/errors.js";
import { ManualClock } from "../support/manual-clock.js";
import { eventLoopTurns } from "../support/sink.js";
import { snapshotOf, tunnelSnapshot } from "../support/snapshots.js";

interface Served {
  readonly server: StatusServer;
  readonly address: Address;
  readonly clock: ManualClock;
  readonly failures: readonly unknown[];
}

async function serve(
  t: TestContext,
  kind: "tcp" | "unix" = "tcp",
  snapshot: () => Snapshot = () => snapshotOf([tunnelSnapshot()]),
): Promise<Served> {
  const clock = new ManualClock();
  const failures: unknown[] = [];
  const path = join(await temporaryFolder(t), "status.sock");
  const server = StatusServer.listen({
    address: kind === "unix" ? { kind, path } : { kind: "tcp", family: 4, address: "127.0.0.1", port: 0 },
    answering: {
      source: { snapshot, states: snapshot },
      page: { html: "<p>", contentSecurityPolicy: "default-src 'none'" },
    },
    failed: (error) => failures.push(error),
    clock,
  });
  afterwards(t, () => server.close());
  await server.accept();
  const { address } = server;
  const to: Address = address.kind === "unix" ? address : { kind: "tcp", host: "127.0.0.1", port: address.port };
  return { server, address: to, clock, failures };
}

/** Sends raw bytes. @returns The whole response. */
async function raw(t: TestContext, address: Address, text: string): Promise<string> {
  const socket = await TestSocket.connect(t, address);
  await socket.write(text);
  return Buffer.from((await socket.readToEnd()).bytes).toString();
}

for (const kind of kindsHere("tcp", "unix")) {
  test(`${kind}: concurrent requests are all answered`, limits, async (t) => {
    const { address, failures } = await serve(t, kind === "unix" ? "unix" : "tcp");
    const answers = await Promise.all(
      Array.from({ length: 20 }, async (_, at) => get(address, at % 2 === 0 ? "/metrics" : "/healthz")),
    );
    assert.deepEqual(new Set(answers.map(({ status }) => status)), new Set([200]));
    assert.match(answers[0]?.body ?? "", /^spiped_accepting\{tunnel="redis"\} 1$/m);
    assert.deepEqual(failures, []);
  });
}

test("HEAD returns only headers, and a foreign host name is refused", limits, async (t) => {
  const { address } = await serve(t);
  const { status, body } = await get(address, "/metrics", { method: "HEAD" });
  assert.deepEqual([status, body], [200, ""]);
  assert.equal((await get(address, "/metrics", { headers: { host: "attacker.example" } })).status, 421);
  assert.equal((await get(address, "/metrics", { method: "POST" })).status, 405);
});

test("invalid requests are refused, and the next one is answered", limits, async (t) => {
  const { address, failures } = await serve(t);
  const junk = [
    "hello\r\n\r\n",
    "\0\x01\x02\x03",
    "GET / HTTP/9.9\r\n\r\n",
    `GET / HTTP/1.1\r\nHost: localhost\r\nX: ${"x".repeat(100_000)}\r\n\r\n`,
    `GET /${"x".repeat(100_000)} HTTP/1.1\r\nHost: localhost\r\n\r\n`,
    "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
    "GET / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n",
    "GET / HTTP/1.1\r\n\r\n",
  ];
  for (const text of junk) {
    const answer = await raw(t, address, text).catch(() => "");
    assert.match(answer, /^(?:HTTP\/1\.1 4\d\d |$)/, text.slice(0, 40));
  }
  assert.equal((await get(address, "/healthz")).status, 200);
  assert.deepEqual(failures, []);
});

test("only the first of pipelined requests is answered, and the connection closes", limits, async (t) => {
  let asked = 0;
  const { address } = await serve(t, "tcp", () => {
    asked += 1;
    return snapshotOf([]);
  });
  const answers = await raw(t, address, "GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n".repeat(100)).catch(() => "");
  assert.ok(answers.split("HTTP/1.1 200").length <= 2, answers);
  assert.equal(asked, 1);
});

test("the same for pipelined requests with an Expect header", limits, async (t) => {
  const { address } = await serve(t);
  for (const expected of ["100-continue", "a miracle"]) {
    const text = `GET /healthz HTTP/1.1\r\nHost: localhost\r\nExpect: ${expected}\r\n\r\n`;
    const answers = await raw(t, address, text.repeat(10));
    assert.match(answers, /^HTTP\/1\.1 200 OK\r\n/);
    assert.equal(answers.split("HTTP/1.1 ").length, 2, answers);
  }
});

test("a request with Expect: 100-continue gets one response", limits, async (t) => {
  const { address } = await serve(t);
  const text = "GET /healthz HTTP/1.1\r\nHost: localhost\r\nExpect: 100-continue\r\n\r\n";
  assert.match(await raw(t, address, text), /HTTP\/1\.1 200 OK\r\n[\s\S]*\r\n\r\nok\n$/);
});

test("a client that sends headers slowly is disconnected after ten seconds", limits, async (t) => {
  const { address, clock } = await serve(t);
  const slow = await TestSocket.connect(t, address);
  await slow.write("GET / HTTP/1.1\r\nHost: localhost\r\n");
  await until(() => (clock.waiting >= 2 ? true : undefined), "the connection to be accepted");
  clock.pass(9_999);
  await slow.write("X: 1\r\n");
  await eventLoopTurns();
  assert.equal(slow.socket.destroyed, false);
  clock.pass(1);
  assert.equal((await slow.readToEnd().catch(() => ({ bytes: [] }))).bytes.length, 0);
});

test("idle connections are closed for newer ones, oldest first", limits, async (t) => {
  const { address } = await serve(t);
  const silent: TestSocket[] = [];
  for (let count = 0; count < MAX_CONNECTIONS; count += 1) silent.push(await TestSocket.connect(t, address));
  assert.equal((await get(address, "/healthz")).status, 200);
  assert.ok(silent[0] !== undefined);
  await silent[0].readToEnd().catch(() => undefined);
  assert.equal(silent.at(-1)?.socket.destroyed, false);
  assert.equal((await get(address, "/healthz")).status, 200);
});

test("connections beyond the rate limit wait for the next second", limits, async (t) => {
  const { address, clock } = await serve(t);
  let answered = 0;
  const all = Array.from({ length: 130 }, () =>
    get(address, "/healthz").then(
      () => {
        answered += 1;
      },
      // Closed for newer ones.
      () => undefined,
    ),
  );
  const done = Promise.all(all);
  await until(() => (answered >= 60 ? true : undefined), "the first hundred");
  await eventLoopTurns(20);
  assert.ok(answered <= 100, `${answered} in one second`);
  await until(() => {
    clock.pass(1_000);
    return answered > 100 ? true : undefined;
  }, "the rest");
  await done;
});

test("an error while answering closes one connection and is reported", limits, async (t) => {
  let isBroken = true;
  const { address, failures } = await serve(t, "tcp", () => {
    if (isBroken) throw new Error("broken");
    return snapshotOf([]);
  });
  await assert.rejects(get(address, "/metrics"));
  isBroken = false;
  assert.equal((await get(address, "/metrics")).status, 200);
  assert.equal(failures.length, 1);
});

test("an address in use is reported", limits, async (t) => {
  const { server } = await serve(t);
  const again = () =>
    StatusServer.listen({
      address: server.address,
      answering: {
        source: { snapshot: () => snapshotOf([]), states: () => snapshotOf([]) },
        page: { html: "", contentSecurityPolicy: "" },
      },
      failed: assert.ifError,
    });
  throwsSpipedError(again, "SPIPED_LISTEN", /^cannot listen on \[127\.0\.0\.1\]:\d+: /, /another program/);
});

test("a UNIX socket is for owner and group, and its file is removed with the server", {
  ...limits,
  skip: process.platform === "win32" && "no UNIX sockets",
}, async (t) => {
  const { server, address } = await serve(t, "unix");
  assert.ok(address.kind === "unix");
  assert.equal(statSync(address.path).mode & 0o777, 0o660);
  server.close();
  assert.equal(existsSync(address.path), false);
});

test("loopback addresses are recognized", () => {
  const tcp = (address: string) => isLoopback({ kind: "tcp", family: 4, address, port: 1 });
  for (const address of ["127.0.0.1", "127.8.8.8", "::1"]) assert.ok(tcp(address), address);
  for (const address of ["0.0.0.0", "10.0.0.1", "::", "fe80::1"]) assert.ok(!tcp(address), address);
  assert.ok(!isLoopback({ kind: "unix", path: "/run/status.sock" }));
});
