// The programs of docs/examples, as docs/library.md shows them.

import assert from "node:assert/strict";
import { once } from "node:events";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { textOf } from "../support/addresses.js";
import { afterwards, limits, temporaryFolder } from "../support/cleanup.js";
import { Command } from "../support/command.js";
import { Listener } from "../support/listener.js";
import { ours, root } from "../support/programs.js";
import { newKey, startSpiped } from "../support/tunnel.js";
import { lacking, placeIn, postgres, redis, type Service } from "./services.js";

function example(name: string, ...args: string[]): readonly [string, ...string[]] {
  return [process.execPath, join(root, "docs/examples", name), ...args];
}

/** A `spiped -d` in front of a service, and the two arguments of each example. */
async function before(t: TestContext, service: string): Promise<[string, string]> {
  const key = await newKey(t);
  const { source } = await startSpiped(t, { end: "-d", source: "tcp", target: service, key });
  return [textOf(source), key.path];
}

/** The same for a server program of the system, on its own port. */
async function beforeService(t: TestContext, service: Service, port: number): Promise<[string, string]> {
  const place = placeIn(await temporaryFolder(t));
  await service.start(t, place);
  return before(t, `[${place.far}]:${port}`);
}

/** Starts an example that prints where it listens. */
async function startServer(
  t: TestContext,
  name: string,
): Promise<{ server: Command; address: string; keyFile: string }> {
  const { path: keyFile } = await newKey(t);
  const server = Command.start(t, example(name, "[127.0.0.1]:0", keyFile));
  const [line] = await once(server.child.stdout ?? assert.fail("it has no standard output"), "data");
  return { server, address: /listening on (\S+)/.exec(String(line))?.[1] ?? "", keyFile };
}

test("graphite.mjs delivers every line", limits, async (t) => {
  const carbon = await Listener.listen(t, "tcp");
  const running = Command.run(t, example("graphite.mjs", ...(await before(t, textOf(carbon.address)))));
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

test("http.mjs prints both answers, received over one connection", limits, async (t) => {
  const service = createServer((request, response) => response.end(`asked for ${request.url}`));
  let connections = 0;
  service.on("connection", () => (connections += 1));
  afterwards(t, () => service.close());
  await new Promise<void>((resolve) => service.listen(0, "127.0.0.1", resolve));
  const { port } = service.address() as AddressInfo;
  const args = await before(t, `[127.0.0.1]:${port}`);
  const { status, stdout } = await Command.run(t, example("http.mjs", ...args));
  assert.deepEqual([status, stdout], [0, "200 asked for /health\n200 asked for /version\n"]);
  assert.equal(connections, 1);
});

test("http-server.mjs answers http.mjs, knows the client's address, and exits on SIGTERM", limits, async (t) => {
  const { server, address, keyFile } = await startServer(t, "http-server.mjs");
  const { status, stdout } = await Command.run(t, example("http.mjs", address, keyFile));
  assert.deepEqual([status, stdout], [0, "200 /health for 127.0.0.1\n200 /version for 127.0.0.1\n"]);
  server.child.kill("SIGTERM");
  assert.equal((await server.exit()).status, 0);
});

test("redis.mjs sets and gets a value, and exits", { ...limits, skip: lacking(redis) }, async (t) => {
  const { status, stdout } = await Command.run(t, example("redis.mjs", ...(await beforeService(t, redis, 6_379))));
  assert.deepEqual([status, stdout], [0, "green\n"]);
});

test("postgres.mjs gets an answer, and exits", { ...limits, skip: lacking(postgres) }, async (t) => {
  const args = await beforeService(t, postgres, 5_432);
  const { status, stdout, stderr } = await Command.run(t, example("postgres.mjs", ...args));
  assert.deepEqual([status, stdout, stderr], [0, "42\n", ""]);
});

test("server.mjs answers spipe, and exits on SIGTERM", limits, async (t) => {
  const { server, address, keyFile } = await startServer(t, "server.mjs");
  const spipe = Command.start(t, [...ours.spipe, "-t", address, "-k", keyFile], { stdin: "pipe" });
  spipe.stdin.end("to and fro");
  assert.equal((await spipe.exit()).status, 0);
  assert.equal(String(spipe.stdout), "to and fro");
  server.child.kill("SIGTERM");
  assert.equal((await server.exit()).status, 0);
});
