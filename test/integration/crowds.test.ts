// Crowds of strangers at spiped -d with its default flags: every authenticated client still gets through within a
// second.

import assert from "node:assert/strict";
import { connect } from "node:net";
import { type TestContext, test } from "node:test";
import { type Address, socketOptionsOf } from "../support/addresses.js";
import { afterwards, limits } from "../support/cleanup.js";
import { Listener } from "../support/listener.js";
import { ReferencePeer } from "../support/reference-peer.js";
import { TestSocket } from "../support/test-socket.js";
import { newKey, type Spiped, startSpiped, stopAndGetLines } from "../support/tunnel.js";

/** More than 5 s at forty a second. */
const crowd = 220;

/** What each stranger does. */
const crowds: Readonly<Record<string, (stranger: TestSocket) => unknown>> = {
  "say nothing": () => undefined,
  "say half a nonce": (stranger) => stranger.write(Buffer.alloc(16)),
  "stop one byte before the end": (stranger) => stranger.write(Buffer.alloc(319)),
};

async function startServer(t: TestContext, flags: readonly string[] = []) {
  const key = await newKey(t);
  const target = await Listener.listen(t, "tcp");
  target.echo();
  const spiped = await startSpiped(t, { end: "-d", source: "tcp", target: target.address, key, flags });
  const greet = async (): Promise<ReferencePeer> => {
    const friend = ReferencePeer.client(await TestSocket.connect(t, spiped.source), { keyFile: key.bytes });
    await friend.handshake();
    await friend.send(Buffer.from("hello"));
    assert.equal(Buffer.from(await friend.receive(5)).toString(), "hello");
    return friend;
  };
  return { spiped, greet };
}

for (const [what, act] of Object.entries(crowds)) {
  test(`an authenticated client is served at once while ${crowd} strangers ${what}`, limits, async (t) => {
    const { spiped, greet } = await startServer(t, ["-o", "60"]);
    const strangers = await Promise.all(Array.from({ length: crowd }, () => TestSocket.connect(t, spiped.source)));
    for (const stranger of strangers) await act(stranger);
    for (const stranger of strangers) await stranger.read(32);
    // No stranger has left or timed out: the client is served only because it has a slot of its own.
    await greet();
    assert.deepEqual(spiped.command.lines.slice(1), []);
  });
}

test("authenticated clients are served while strangers send a wrong key, or disconnect at once", limits, async (t) => {
  const { spiped, greet } = await startServer(t);
  for (let round = 0; round < 20; round += 1) {
    for (let count = 0; count < 20; count += 1) {
      const stranger = await TestSocket.connect(t, spiped.source);
      if (count % 2 === 0) await stranger.write(Buffer.alloc(320));
      else stranger.reset();
    }
    const friend = await greet();
    friend.link.finish();
    await friend.receiveToEnd();
  }
  const lines = await stopAndGetLines(spiped);
  assert.ok(lines.length <= 50, `${lines.length} lines about 400 strangers`);
  assert.match(spiped.command.stderr, /^spiped: handshake failed: \d+ more from \[127\.0\.0\.1\] in the last \d+ s/m);
});

test("-n limits authenticated clients: they wait for a slot in order, and strangers take none", limits, async (t) => {
  const { spiped, greet } = await startServer(t, ["-n", "1", "-o", "60"]);
  const strangers = [await TestSocket.connect(t, spiped.source), await TestSocket.connect(t, spiped.source)];
  for (const stranger of strangers) await stranger.read(32);
  const first = await greet();
  const second = greet();
  await spiped.command.line(/connection limit reached/);
  first.link.finish();
  await first.receiveToEnd();
  const other = await second;
  other.link.finish();
  await other.receiveToEnd();
});

test("an authenticated client waits while all slots are taken, and is served when one is free", limits, async (t) => {
  const key = await newKey(t);
  const target = await Listener.listen(t, "tcp");
  const flags = ["-n", "1", "-o", "60"];
  const spiped = await startSpiped(t, { end: "-d", source: "tcp", target: target.address, key, flags });
  const begin = async (): Promise<ReferencePeer> => {
    const peer = ReferencePeer.client(await TestSocket.connect(t, spiped.source), { keyFile: key.bytes });
    await peer.sendNonce();
    await peer.readNonce();
    return peer;
  };
  const [first, second] = [await begin(), await begin()];
  await first.write(first.macedPublicValue());
  await first.readPublicValue();
  const service = await target.next();
  await second.write(second.macedPublicValue());
  for (let count = 0; count < 20; count += 1) {
    await service.write("hello");
    await first.receive(5);
  }
  assert.deepEqual([second.link.waitingBytes, target.acceptedCount], [0, 1]);
  first.link.finish();
  service.finish();
  await second.readPublicValue();
  await target.next();
  assert.equal(target.acceptedCount, 2);
});

test(
  "a client that resets at once is logged with its own address or as unknown, never with ours",
  limits,
  async (t) => {
    const { spiped } = await startServer(t);
    const rounds = 5;
    const ports: number[] = [];
    for (let round = 0; round < rounds; round += 1) ports.push(await connectAndReset(t, spiped.source));
    const lines = await untilLines(spiped, rounds);
    const own = spiped.source.kind === "tcp" ? `:${spiped.source.port}:` : "";
    const names = lines.map((line) => /^spiped: connection from (.*?): /.exec(line)?.[1]);
    // They end in no particular order.
    const expected = ports.map((port) => `[127.0.0.1]:${port}`);
    if (process.platform === "linux") assert.deepEqual(names.sort(), expected.sort());
    for (const [index, line] of lines.entries()) {
      assert.ok(!line.includes(`connection from [127.0.0.1]${own}`), line);
      assert.match(names[index] ?? "", /^(\[.*\]:\d+|unknown)$/);
    }
  },
);

async function connectAndReset(t: TestContext, address: Address): Promise<number> {
  const socket = connect(socketOptionsOf(address));
  afterwards(t, () => socket.destroy());
  socket.on("error", () => undefined);
  await new Promise((resolve) => socket.once("connect", resolve));
  const port = socket.localPort ?? 0;
  socket.resetAndDestroy();
  return port;
}

async function untilLines(spiped: Spiped, count: number): Promise<readonly string[]> {
  await spiped.command.line(/connection from/, count);
  return spiped.command.lines.filter((line) => line.startsWith("spiped: connection from "));
}
