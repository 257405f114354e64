// The programs of docs/examples, as docs/library.md shows them.

import assert from "node:assert/strict";
import { once } from "node:events";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { textOf } from "../support/addresses.js";
import { afterwards, limits } from "../support/cleanup.js";
import { Command } from "../support/command.js";
import { Listener } from "../support/listener.js";
import { ours, root } from "../support/programs.js";
import { newKey, startSpiped } from "../support/tunnel.js";

function example(name: string, ...words: string[]): readonly [string, ...string[]] {
  return [process.execPath, join(root, "docs/examples", name), ...words];
}

/** A `spiped -d` before a service, and the two words that each example takes. */
async function before(t: TestContext, service: Listener["address"]): Promise<[string, string]> {
  const key = await newKey(t);
  const { source } = await startSpiped(t, { end: "-d", source: "tcp", target: service, key });
  return [textOf(source), key.path];
}

test("graphite.mjs delivers every line", limits, async (t) => {
  const carbon = await Listener.listen(t, "tcp");
  const running = Command.run(t, example("graphite.mjs", ...(await before(t, carbon.address))));
  const connection = await carbon.next();
  const { bytes } = await connection.readToEnd();
  connection.finish();
  const { status, stdout } = await running;
  assert.equal(status, 0);
  assert.equal(stdout, `${bytes.length} bytes, closed\n`);
  const lines = Buffer.from(bytes).toString().trimEnd().split("\n");
  assert.equal(lines.length, 60);
  for (const line of lines) assert.match(line, /^servers\.web1\.load -?[\d.e-]+ \d+$/);
});

test("http.mjs prints the answer", limits, async (t) => {
  const service = createServer((request, response) => response.end(`asked for ${request.url}`));
  afterwards(t, () => service.close());
  await new Promise<void>((resolve) => service.listen(0, "127.0.0.1", resolve));
  const { port } = service.address() as AddressInfo;
  const words = await before(t, { kind: "tcp", host: "127.0.0.1", port });
  const { status, stdout } = await Command.run(t, example("http.mjs", ...words));
  assert.deepEqual([status, stdout], [0, "200 asked for /health\n"]);
});

test("redis.mjs speaks the protocol of a redis server", limits, async (t) => {
  const redis = await Listener.listen(t, "tcp");
  const running = Command.run(t, example("redis.mjs", ...(await before(t, redis.address))));
  const connection = await redis.next();
  assert.equal(
    Buffer.from((await connection.readToEnd()).bytes).toString(),
    "SET colour green\r\nGET colour\r\nQUIT\r\n",
  );
  await connection.write("+OK\r\n$5\r\ngreen\r\n+OK\r\n");
  connection.finish();
  const { status, stdout } = await running;
  assert.deepEqual([status, stdout], [0, "+OK | $5 | green | +OK\n"]);
});

test("server.mjs answers spipe, and ends on SIGTERM", limits, async (t) => {
  const key = await newKey(t);
  const server = Command.start(t, example("server.mjs", "[127.0.0.1]:0", key.path));
  const [line] = await once(server.child.stdout ?? assert.fail("it has no standard output"), "data");
  const address = /listening on (\S+)/.exec(String(line))?.[1] ?? "";
  const spipe = Command.start(t, [...ours.spipe, "-t", address, "-k", key.path], { stdin: "pipe" });
  spipe.stdin.end("to and fro");
  assert.equal((await spipe.exit()).status, 0);
  assert.equal(String(spipe.stdout), "to and fro");
  server.child.kill("SIGTERM");
  assert.equal((await server.exit()).status, 0);
});
