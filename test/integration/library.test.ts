// The library: streams to a spiped -d and from spipe, complete tunnels, and every way in which they end.

import assert from "node:assert/strict";
import { createHash, randomBytes } from "node:crypto";
import { getEventListeners, once } from "node:events";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import {
  connect,
  createKey,
  createServer,
  createTunnel,
  generateKey,
  type Key,
  readKeyFile,
  SpipedError,
  type SpipedServer,
  type TunnelStream,
} from "#dist/index.js";
import { textOf } from "../support/addresses.js";
import { afterwards, limits, temporaryFolder } from "../support/cleanup.js";
import { Listener } from "../support/listener.js";

const key = createKey(generateKey());

async function startServer(
  t: TestContext,
  onConnection: (stream: TunnelStream) => void,
  options: { key?: Key } = {},
): Promise<SpipedServer> {
  const server = createServer({ key, timeoutMs: 60_000, ...options }, onConnection);
  // Whatever is open at the end of the test is cut.
  server.on("connection", (stream) => stream.on("error", () => undefined));
  afterwards(t, () => server.destroy());
  return server.listen("[127.0.0.1]:0");
}

function connectTo(
  t: TestContext,
  server: SpipedServer,
  options: { key?: Key; signal?: AbortSignal } = {},
): TunnelStream {
  const stream = connect({ target: server.address ?? "", key, timeoutMs: 60_000, ...options });
  // Whatever is open at the end of the test may see the server's end first.
  stream.on("error", () => undefined);
  afterwards(t, () => stream.destroy());
  return stream;
}

test("a stream carries data of every size both ways, and ends in an orderly way", limits, async (t) => {
  const server = await startServer(t, (stream) => stream.pipe(stream));
  for (const size of [0, 1, 1_023, 1_024, 1_025, 65_535, 65_536, 65_537, 5_000_000]) {
    const data = randomBytes(size);
    const stream = connectTo(t, server);
    const hash = createHash("sha256");
    stream.end(data);
    for await (const piece of stream) hash.update(piece);
    assert.equal(hash.digest("hex"), createHash("sha256").update(data).digest("hex"));
    if (!stream.closed) await once(stream, "close");
    assert.deepEqual([stream.report?.reason, stream.report?.bytesForward], ["closed", size]);
  }
});

test("data that was read does not change, however much arrives after it", limits, async (t) => {
  const sent = [...Array(64).keys()].map((number) => Buffer.alloc(40_000, number));
  const server = await startServer(t, (stream) => stream.end(Buffer.concat(sent)));
  const pieces: Buffer[] = await connectTo(t, server).toArray();
  assert.ok(Buffer.concat(pieces).equals(Buffer.concat(sent)));
});

test("a client with a different key never becomes a stream, and gets an error that says so", limits, async (t) => {
  const server = await startServer(t, () => assert.fail("a stranger became a stream"));
  const ended = once(server, "ended");
  const stream = connectTo(t, server, { key: createKey(Buffer.from("another")) });
  const [error] = await once(stream, "error");
  assert.equal(error.name, "SpipedError");
  assert.equal(stream.report?.reason, "handshake-failed");
  assert.equal((await ended)[0].reason, "handshake-failed");
  assert.equal(stream.connected, false);
});

test("destroying a stream on one side is not an orderly end on the other", limits, async (t) => {
  const server = await startServer(t, (stream) => {
    stream.write("some of it", () => stream.destroy(new Error("no more of it")));
    stream.on("error", () => undefined);
  });
  await assert.rejects(connectTo(t, server).toArray(), { code: "SPIPED_RESET" });
});

test("a stream destroyed without an error and with nothing buffered has ended, like a socket", limits, async (t) => {
  const reports: string[] = [];
  const server = await startServer(t, (stream) => {
    stream.resume();
    stream.write("all of it", () => stream.destroy());
  });
  server.on("ended", ({ reason }) => reports.push(reason));
  const stream = connectTo(t, server);
  assert.equal((await stream.toArray()).join(""), "all of it");
  await server.close();
  assert.deepEqual(reports, ["closed"]);
});

test("a stream destroyed with unread bytes is reset", limits, async (t) => {
  const server = await startServer(t, (stream) => {
    stream.once("readable", () => stream.destroy());
  });
  const ended = once(server, "ended");
  const stream = connectTo(t, server);
  stream.write("nobody reads this");
  assert.equal((await ended)[0].reason, "cancelled");
  if (!stream.closed) await new Promise((resolve) => stream.once("close", resolve));
  assert.equal(stream.report?.reason, "reset");
});

test("a stream destroyed before the other side has ended is reset when more data arrives", limits, async (t) => {
  const server = await startServer(t, (stream) => stream.destroy());
  const ended = once(server, "ended");
  const stream = connect({ target: server.address ?? "", key, allowHalfOpen: true });
  const failed = new Promise<Error>((resolve) => stream.once("error", resolve));
  await once(stream.resume(), "end");
  stream.write("nobody reads this");
  assert.equal((await ended)[0].reason, "cancelled");
  // A socket that has read the end notices a reset on its next write.
  stream.write("nor this");
  assert.ok((await failed) instanceof SpipedError);
});

test("an aborted signal ends a stream", limits, async (t) => {
  const server = await startServer(t, (stream) => stream.on("error", () => undefined));
  const abort = new AbortController();
  const stream = connectTo(t, server, { signal: abort.signal });
  await once(stream, "connect");
  abort.abort();
  const [error] = await once(stream, "error");
  assert.equal(error.name, "AbortError");
});

test("a target that is down gives an error with its code", limits, async (t) => {
  const listener = await Listener.listen(t, "tcp");
  const target = textOf(listener.address);
  listener.close();
  const [error] = await once(connect({ target, key }), "error");
  assert.equal(error.code, "SPIPED_CONNECT");
});

test("a server is an asynchronous iterator of its clients, until it is closed", limits, async (t) => {
  const server = await startServer(t, () => undefined);
  const seen = (async () => {
    let count = 0;
    for await (const stream of server) {
      stream.end(`client ${count}`);
      stream.resume();
      count += 1;
    }
    return count;
  })();
  for (const expected of ["client 0", "client 1"]) {
    const stream = connectTo(t, server);
    stream.end();
    assert.equal((await stream.toArray()).join(""), expected);
  }
  await server.close();
  assert.equal(await seen, 2);
});

test("a closing server can still be destroyed, which also settles the close", limits, async (t) => {
  const server = await startServer(t, () => undefined);
  const stream = connectTo(t, server);
  await once(stream, "connect");
  const closed = server.close();
  assert.equal(server.address, undefined);
  await server.destroy();
  await closed;
  assert.equal(server.connections, 0);
});

test(
  "destroying a server during a key exchange cancels the connection without an uncaught error",
  limits,
  async (t) => {
    for (let attempt = 0; attempt < 20; attempt += 1) {
      // Without an error listener: the program has not been given a stream yet.
      const server = createServer({ key }, (stream) => stream.on("error", () => undefined));
      await server.listen("[127.0.0.1]:0");
      const ended = once(server, "ended");
      await once(connectTo(t, server), "connect");
      await server.destroy();
      assert.equal((await ended)[0].reason, "cancelled");
    }
  },
);

test("a server that was closed listens again", limits, async (t) => {
  const server = await startServer(t, (stream) => stream.end("hello").resume());
  await server.close();
  await server.listen("[127.0.0.1]:0");
  const stream = connectTo(t, server);
  stream.end();
  assert.equal((await stream.toArray()).join(""), "hello");
});

test("a server listens once at a time, and reports when", limits, async (t) => {
  const server = createServer({ key });
  afterwards(t, () => server.destroy());
  const listening = once(server, "listening");
  await server.listen("[127.0.0.1]:0");
  await listening;
  await assert.rejects(server.listen("[127.0.0.1]:0"), { code: "SPIPED_LISTEN" });
});

test("a server uses another key for new clients, and does not destroy the old one", limits, async (t) => {
  const [old, next] = [createKey(generateKey()), createKey(generateKey())];
  const server = await startServer(t, (stream) => stream.pipe(stream), { key: old });
  const before = connectTo(t, server, { key: old });
  await once(before, "connect");
  server.useKey(next);
  const after = connectTo(t, server, { key: next });
  for (const stream of [before, after]) {
    stream.end("hello");
    assert.equal((await stream.toArray()).join(""), "hello");
  }
  // A wiped key cannot be used; this one can.
  server.useKey(old);
  await once(connectTo(t, server, { key: old }), "connect");
});

test("a signal's listener is removed when the operation has ended", limits, async (t) => {
  const { signal } = new AbortController();
  const server = createServer({ key, signal }, (stream) => stream.pipe(stream));
  const { address = "" } = await server.listen("[127.0.0.1]:0");
  const tunnel = await createTunnel({ role: "encrypt", source: "[127.0.0.1]:0", target: address, key, signal });
  const stream = connectTo(t, server, { signal });
  stream.end("hello");
  await stream.toArray();
  if (!stream.closed) await once(stream, "close");
  const closed = once(tunnel, "close");
  await Promise.all([tunnel.close(), server.close(), closed]);
  assert.equal(getEventListeners(signal, "abort").length, 0);
});

test("an empty key and a missing key file are refused", limits, async (t) => {
  const folder = await temporaryFolder(t);
  await writeFile(join(folder, "empty"), "");
  assert.throws(() => createKey(new Uint8Array(0)), { code: "SPIPED_KEY_FILE", message: /empty/ });
  for (const [name, message] of [
    ["empty", /it is empty/],
    ["missing", /there is no such file/],
    [".", /it is a folder/],
  ] as const) {
    await assert.rejects(readKeyFile(join(folder, name)), { code: "SPIPED_KEY_FILE", message });
  }
});

test("a key file is read completely, as the command reads it", limits, async (t) => {
  const folder = await temporaryFolder(t);
  const contents = randomBytes(200_000);
  await writeFile(join(folder, "key"), contents);
  const server = await startServer(t, (stream) => stream.pipe(stream), { key: await readKeyFile(join(folder, "key")) });
  await once(connectTo(t, server, { key: createKey(contents) }), "connect");
});

test("two tunnels carry a connection, and close when it has ended", limits, async (t) => {
  const target = await Listener.listen(t, "tcp");
  const far = await createTunnel({ role: "decrypt", source: "[127.0.0.1]:0", target: textOf(target.address), key });
  const near = await createTunnel({ role: "encrypt", source: "[127.0.0.1]:0", target: far.address, key });
  afterwards(t, () => Promise.all([near.destroy(), far.destroy()]).then(() => undefined));
  const [, port] = near.address.split("]:");
  const { connect: dial } = await import("node:net");
  const client = dial(Number(port), "127.0.0.1");
  client.end("hello");
  const service = await target.next();
  assert.equal(Buffer.from((await service.readToEnd()).bytes).toString(), "hello");
  service.finish();
  await once(client.resume(), "close");
  await Promise.all([near.close(), far.close()]);
  assert.deepEqual([near.connections, far.connections], [0, 0]);
});
