// HTTP through a tunnel, with curl: downloads, uploads, many requests on one connection, and truncated responses.

import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { writeFile } from "node:fs/promises";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { type Address, type AddressKind, freeAddress, socketOptionsOf } from "../support/addresses.js";
import { afterwards, limits, temporaryFolder } from "../support/cleanup.js";
import { Command } from "../support/command.js";
import { withCommands } from "../support/programs.js";
import { digestOf, digestOfRandomData, RandomData, randomData } from "../support/random-data.js";
import { startTunnel } from "../support/tunnel.js";

const bodyBytes = 50_000_000;

/** /download sends random data, /stream the same without a length, /upload answers with a digest. */
async function answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
  if (request.url === "/upload") {
    const hash = createHash("sha256");
    for await (const chunk of request) hash.update(chunk as Uint8Array);
    response.end(hash.digest("hex"));
    return;
  }
  if (request.url === "/download") response.setHeader("content-length", bodyBytes);
  if (request.url?.startsWith("/small") === true) {
    response.end(request.url);
    return;
  }
  for (const piece of new RandomData("http").pieces(bodyBytes)) {
    if (!response.write(piece)) await new Promise((resolve) => response.once("drain", resolve));
  }
  response.end();
}

async function startServer(t: TestContext, kind: AddressKind): Promise<Address> {
  const address = await freeAddress(t, kind);
  const server = createServer((request, response) => void answer(request, response));
  await new Promise<void>((resolve, reject) => {
    server.once("error", reject);
    server.listen(socketOptionsOf(address), resolve);
  });
  afterwards(t, () => {
    server.close();
    server.closeAllConnections();
  });
  return address;
}

/** The arguments for curl to request `path` from `address`. */
function request(address: Address, path: string): readonly string[] {
  if (address.kind === "unix") return ["--unix-socket", address.path, `http://localhost${path}`];
  return [`http://${address.host}:${address.port}${path}`];
}

withCommands(["curl"], ([curl = ""]) => {
  const run = async (t: TestContext, ...args: readonly string[]): Promise<Command> => {
    const command = Command.start(t, [curl, "-sS", "--noproxy", "*", ...args], { stdin: "ignore" });
    await command.exit();
    return command;
  };

  for (const kind of ["tcp", "unix"] as const) {
    test(`curl downloads and uploads 50 MB through a tunnel on ${kind}`, limits, async (t) => {
      const { client } = await startTunnel(t, { kind, targetAddress: await startServer(t, kind) });
      for (const flags of [[], ["--http1.0"]] as const) {
        for (const path of ["/download", "/stream"]) {
          const download = await run(t, ...flags, ...request(client.source, path));
          assert.equal((await download.exit()).status, 0, download.stderr);
          assert.equal(digestOf(download.stdout), digestOfRandomData("http", bodyBytes));
        }
      }
      const file = join(await temporaryFolder(t), "body");
      await writeFile(file, randomData("upload", bodyBytes));
      const upload = await run(t, "-T", file, ...request(client.source, "/upload"));
      assert.equal(upload.stdout.toString(), digestOfRandomData("upload", bodyBytes));
    });

    test(`curl gets the answers to many requests on one connection on ${kind}`, limits, async (t) => {
      const { client } = await startTunnel(t, { kind, targetAddress: await startServer(t, kind) });
      const many = await run(t, "-w", "\\n", ...request(client.source, "/small[1-500]"));
      const expected = Array.from({ length: 500 }, (_, index) => `/small${index + 1}\n`);
      assert.equal(many.stdout.toString(), expected.join(""));
    });
  }

  test("curl fails when the server resets a response without Content-Length", limits, async (t) => {
    const tunnel = await startTunnel(t);
    tunnel.target.onConnection(async (service) => {
      await service.write("HTTP/1.1 200 OK\r\nconnection: close\r\n\r\nonly the beginning of");
      service.reset();
    });
    for (let attempt = 1; attempt <= 20; attempt += 1) {
      const cut = await run(t, ...request(tunnel.client.source, "/"));
      assert.notEqual((await cut.exit()).status, 0, `attempt ${attempt}: curl took it for the whole`);
    }
  });

  test("curl fails when the target is down", limits, async (t) => {
    const tunnel = await startTunnel(t, { targetAddress: await freeAddress(t, "tcp") });
    const refused = await run(t, ...request(tunnel.client.source, "/"));
    assert.notEqual((await refused.exit()).status, 0);
  });
});
