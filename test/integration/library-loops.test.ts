// Loops over the library's servers: which loop gets which stream, and what happens to streams that no loop takes.

import assert from "node:assert/strict";
import { once } from "node:events";
import { test } from "node:test";
import type { TunnelStream } from "#dist/index.js";
import { limits, until, within } from "../support/cleanup.js";
import { free, newClient, newServer, readAll } from "../support/library.js";

test("a loop over a closed server ends at once, and a waiting loop ends when the server closes", limits, async (t) => {
  const { server } = newServer(t);
  const early = server[Symbol.asyncIterator]().next();
  await server.listen(free);
  const late = server[Symbol.asyncIterator]().next();
  await server.close();
  for await (const _stream of server) assert.fail("a stream");
  assert.deepEqual([(await early).done, (await late).done], [true, true]);
});

test("a loop that is busy while the server closes and listens again is over", limits, async (t) => {
  const { server } = newServer(t);
  await server.listen(free);
  await newClient(t, server);
  for await (const _stream of server) {
    await server.destroy();
    await server.listen(free);
    await newClient(t, server);
  }
  assert.equal(server.connections, 1);
});

test("a peer that resets while its stream is queued is dropped, and the process continues", limits, async (t) => {
  const { server } = newServer(t);
  await server.listen(free);
  const gone = await newClient(t, server);
  const ended = once(server, "ended");
  gone.destroy(new Error("reset"));
  assert.equal((await ended)[0].reason, "reset");
  (await newClient(t, server)).end("hello");
  for await (const stream of server) {
    assert.equal((await stream.toArray()).join(""), "hello");
    break;
  }
});

test(
  "streams are queued for the first loop, and for the next when one is left by break or throw",
  limits,
  async (t) => {
    const { server } = newServer(t);
    await server.listen(free);
    for (const word of ["one", "two", "three"]) {
      (await newClient(t, server)).end(word);
      await until(() => (server.connections > 0 ? true : undefined), "a connection");
    }
    const words: string[] = [];
    const take = async (stream: TunnelStream) => {
      words.push(await readAll(stream));
      stream.end();
    };
    for await (const stream of server) {
      await take(stream);
      break;
    }
    await assert.rejects(
      (async () => {
        for await (const stream of server) {
          await take(stream);
          throw new Error("out of the loop");
        }
      })(),
      /out of the loop/,
    );
    for await (const stream of server) {
      await take(stream);
      break;
    }
    // In the order in which the server's handshakes finished, which may differ from the clients' order.
    assert.deepEqual(words.sort(), ["one", "three", "two"]);
  },
);

test("close resets queued streams without waiting for them", limits, async (t) => {
  const { server } = newServer(t);
  await server.listen(free);
  const clients = [await newClient(t, server), await newClient(t, server)];
  const ended = clients.map((client) => new Promise<void>((resolve) => client.once("close", resolve)));
  await until(() => (server.connections === 2 ? true : undefined), "both connections");
  await within(server.close(), "the end of the server");
  for (const client of clients) client.resume().write("anybody there?");
  await Promise.all(ended);
  for (const client of clients) assert.equal(client.report?.reason, "reset");
});

test(
  "a loop still gets the streams queued when the server closes, and leaving it resets the rest",
  limits,
  async (t) => {
    const { server } = newServer(t);
    await server.listen(free);
    for (const word of ["one", "two", "three"]) (await newClient(t, server)).end(word);
    const words: string[] = [];
    let closed: Promise<void> | undefined;
    for await (const stream of server) {
      await until(() => (server.connections === 3 - words.length ? true : undefined), "the connections");
      closed ??= server.close();
      words.push(await readAll(stream));
      stream.end();
      await once(stream, "close");
      if (words.length === 2) break;
    }
    await within(closed ?? assert.fail(), "the end of the server");
    assert.deepEqual(words, ["one", "two"]);
  },
);

test("two loops share the streams, each to one of them", limits, async (t) => {
  const { server } = newServer(t);
  await server.listen(free);
  const seen: TunnelStream[] = [];
  const loop = async (): Promise<number> => {
    let count = 0;
    for await (const stream of server) {
      seen.push(stream);
      count += 1;
    }
    return count;
  };
  const loops = Promise.all([loop(), loop()]);
  for (let client = 0; client < 4; client += 1) await newClient(t, server);
  await until(() => (seen.length === 4 ? true : undefined), "all streams");
  await server.destroy();
  const [one = 0, two = 0] = await loops;
  assert.deepEqual([one + two, new Set(seen).size], [4, 4]);
});

test("a listener and a loop both get a stream; after the loop it is the listener's alone", limits, async (t) => {
  const { server } = newServer(t);
  const heard: TunnelStream[] = [];
  server.on("connection", (stream) => heard.push(stream.on("error", () => undefined)));
  await server.listen(free);
  await newClient(t, server);
  await until(() => (heard.length === 1 ? true : undefined), "the first stream");
  // There is no loop yet, so no loop gets the first stream.
  const loop = server[Symbol.asyncIterator]();
  const next = loop.next();
  await newClient(t, server);
  assert.equal((await next).value, heard[1]);
  await newClient(t, server);
  await until(() => (heard.length === 3 ? true : undefined), "the third stream");
  await loop.return?.();
  assert.equal(heard[2]?.destroyed, false);
  assert.equal((await loop.next()).done, true);
});

test("return ends a pending call of next", limits, async (t) => {
  const { server } = newServer(t);
  const loop = server[Symbol.asyncIterator]();
  const waiting = loop.next();
  await within(Promise.resolve(loop.return?.()), "return");
  assert.equal((await within(waiting, "next")).done, true);
});
