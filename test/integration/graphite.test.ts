// Graphite's lines (`path value time`) through a tunnel: all of them arrive, and in order.

import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { test } from "node:test";
import { limits } from "../support/cleanup.js";
import type { TestSocket } from "../support/test-socket.js";
import { startTunnel } from "../support/tunnel.js";

const manyLines = 1_000_000;
const linesPerWrite = 1000;

/** `count` lines of one sender in pieces; each line is different. */
function* linesOf(sender: number, count: number): Generator<string> {
  for (let first = 0; first < count; first += linesPerWrite) {
    let piece = "";
    for (let index = first; index < Math.min(first + linesPerWrite, count); index += 1) {
      piece += `servers.web${sender}.requests.count ${index} ${1_700_000_000 + index}\n`;
    }
    yield piece;
  }
}

function digestOfLines(sender: number, count: number): string {
  const hash = createHash("sha256");
  for (const piece of linesOf(sender, count)) hash.update(piece);
  return hash.digest("hex");
}

async function sendLines(app: TestSocket, sender: number, count: number): Promise<void> {
  for (const piece of linesOf(sender, count)) await app.write(piece);
  app.finish();
}

for (const kind of ["tcp", "unix"] as const) {
  test(`a million lines arrive complete and in order on ${kind}`, limits, async (t) => {
    const { app, service } = await (await startTunnel(t, { kind })).connectThrough();
    const [received] = await Promise.all([service.digestToEnd(), sendLines(app, 0, manyLines)]);
    assert.equal(received.digest, digestOfLines(0, manyLines));
    assert.equal(received.end, "fin");
  });
}

test("lines sent one by one arrive as they are sent", limits, async (t) => {
  const { app, service } = await (await startTunnel(t)).connectThrough();
  for (let index = 0; index < 500; index += 1) {
    const line = `servers.web0.load 0.${index} ${1_700_000_000 + index}\n`;
    await app.write(line);
    assert.equal(Buffer.from(await service.read(line.length)).toString(), line);
  }
});

test(
  "the lines of twenty senders at once arrive complete and in order, each on its own connection",
  limits,
  async (t) => {
    const tunnel = await startTunnel(t);
    const senders = Array.from({ length: 20 }, (_, sender) => sender);
    const expected = new Set(senders.map((sender) => digestOfLines(sender, 10_000)));
    const apps = await Promise.all(senders.map(() => tunnel.connect()));
    const services = await Promise.all(senders.map(() => tunnel.target.next()));
    const [digests] = await Promise.all([
      Promise.all(services.map((service) => service.digestToEnd())),
      ...apps.map((app, sender) => sendLines(app, sender, 10_000)),
    ]);
    for (const { digest, end } of digests) {
      assert.equal(end, "fin");
      assert.ok(expected.delete(digest), "each sender's lines once");
    }
    assert.equal(expected.size, 0);
  },
);
