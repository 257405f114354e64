// Our spipe against the reference peer: exit statuses, messages and kinds of standard streams.

import assert from "node:assert/strict";
import { closeSync, openSync } from "node:fs";
import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { type AddressKind, freeAddress, textOf } from "../support/addresses.js";
import { limits, temporaryFolder, until } from "../support/cleanup.js";
import { Command } from "../support/command.js";
import { expectAll, expectBytes } from "../support/expect.js";
import { Listener } from "../support/listener.js";
import { ours } from "../support/programs.js";
import { randomData } from "../support/random-data.js";
import { untilReason } from "../support/reasons.js";
import { ReferencePeer } from "../support/reference-peer.js";
import { packetBytes } from "../support/reference-protocol.js";
import { Spipe } from "../support/spipe.js";
import { newKey, patience, startTunnel } from "../support/tunnel.js";

/** spipe, connected to a reference server before the handshake. */
async function startSpipe(
  t: TestContext,
  kind: AddressKind,
  flags: readonly string[] = [],
): Promise<{ spipe: Spipe; peer: ReferencePeer }> {
  const key = await newKey(t);
  const link = await Listener.listen(t, kind);
  const spipe = Spipe.start(t, { program: ours, target: link.address, key, flags });
  return { spipe, peer: ReferencePeer.server(await link.next(), { keyFile: key.bytes }) };
}

/** Servers that break spipe's connection, and spipe's message for each. */
type Harm = readonly [(peer: ReferencePeer) => Promise<unknown>, said: string];

const handshakeFailures: Readonly<Record<string, Harm>> = {
  "closes when it has spipe's nonce": [
    async (peer) => {
      await peer.readNonce();
      peer.link.close();
    },
    "the peer closed the connection after 0 of 320 handshake bytes",
  ],
  "sends garbage": [
    (peer) => peer.link.write(randomData("rubbish", 320)),
    "wrong MAC: the peer has a different key, or is not spiped",
  ],
  "ends inside its public value": [
    async (peer) => {
      await peer.sendNonce();
      await peer.readNonce();
      await peer.write(peer.macedPublicValue().subarray(0, 100));
      peer.link.finish();
    },
    "the peer closed the connection after 132 of 320 handshake bytes; it may have a different key",
  ],
  "has one bit of its MAC wrong": [
    async (peer) => {
      await peer.sendNonce();
      await peer.readNonce();
      await peer.write(peer.macedPublicValue({ macIsWrong: true }));
    },
    "wrong MAC: the peer has a different key, or is not spiped",
  ],
};

const laterFailures: Readonly<Record<string, Harm>> = {
  "sends a wrong packet": [
    (peer) => peer.write(peer.seal(Buffer.from("wrong"), { flippedBit: 0 })),
    "wrong packet MAC: the data was changed in transit",
  ],
  "sends a packet of length 0": [
    (peer) => peer.write(peer.seal(Buffer.from("wrong"), { statedLength: 0 })),
    "packet length out of range",
  ],
  "ends after the first byte of a packet": [
    async (peer) => {
      await peer.write(peer.seal(Buffer.from("cut")).subarray(0, 1));
      peer.link.finish();
    },
    "stream ended inside a packet, after 1 of its bytes",
  ],
  "ends before the last byte of a packet": [
    async (peer) => {
      await peer.write(peer.seal(Buffer.from("cut")).subarray(0, packetBytes - 1));
      peer.link.finish();
    },
    "stream ended inside a packet, after 1059 of its bytes",
  ],
};

/** The only message that spipe wrote, without its hint and the target's address. */
function saidBy({ command }: Spipe): string {
  const [line = "", ...others] = command.lines;
  assert.deepEqual(others, []);
  return line.replace(/; hint: .*/, "").replace(/(target|connect to) (\[.*\]:\d+|\/\S*): /, "$1: ");
}

for (const kind of ["tcp", "unix"] as const) {
  for (const [what, [harm, said]] of Object.entries(handshakeFailures)) {
    test(`spipe on ${kind} exits 1 and reports a failed handshake when the server ${what}`, limits, async (t) => {
      const { spipe, peer } = await startSpipe(t, kind);
      await harm(peer);
      assert.deepEqual(await spipe.command.exit(), { status: 1, signal: null });
      assert.equal(spipe.command.stdout.length, 0);
      assert.equal(saidBy(spipe), `spipe: Handshake failed: ${said}`);
    });
  }

  for (const [what, [harm, said]] of Object.entries(laterFailures)) {
    test(`spipe on ${kind} exits 1 and reports the reason when the server ${what}`, limits, async (t) => {
      const { spipe, peer } = await startSpipe(t, kind);
      await peer.handshake();
      await peer.send(Buffer.from("first"));
      await until(() => spipe.command.stdout.length === "first".length || undefined, "what came before");
      await harm(peer);
      assert.deepEqual(await spipe.command.exit(), { status: 1, signal: null });
      assert.equal(spipe.command.stdout.toString(), "first");
      assert.equal(saidBy(spipe), `spipe: Connection error: ${said}`);
    });
  }

  test(`spipe on ${kind} exits 1 when the server resets the connection`, limits, async (t) => {
    const { spipe, peer } = await startSpipe(t, kind);
    await peer.handshake();
    await peer.send(Buffer.from("first"));
    await spipe.write("second");
    expectBytes(await peer.receive(6), "second");
    peer.link.reset();
    // On a UNIX socket, only a writer notices the close.
    if (kind === "unix") {
      spipe.command.stdin.on("error", () => undefined);
      for (let count = 0; !spipe.command.isGone && count < 100; count += 1) await spipe.write("third");
    }
    assert.deepEqual(await spipe.command.exit(), { status: 1, signal: null });
    const words = kind === "unix" ? "broken pipe" : "connection reset by peer";
    assert.equal(saidBy(spipe), `spipe: Connection error: target: ${words}`);
  });

  test(`spipe on ${kind} exits 1 when the server sends nothing within -o`, limits, async (t) => {
    const { spipe } = await startSpipe(t, kind, []);
    spipe.command.signal("SIGTERM");
    await spipe.command.exit();
    const key = await newKey(t);
    const link = await Listener.listen(t, kind);
    const args = [...ours.spipe, "-t", textOf(link.address), "-k", key.path, "-o", "0.3"] as const;
    const command = Command.start(t, args);
    assert.deepEqual(await command.exit(), { status: 1, signal: null });
    assert.match(
      command.stderr,
      /^spipe: Handshake failed: handshake not finished after 0\.3 s; the peer sent nothing /,
    );
  });

  test(`spipe on ${kind} exits 1 when the connection is refused`, limits, async (t) => {
    const target = await freeAddress(t, kind);
    const spipe = Spipe.start(t, { program: ours, target, key: await newKey(t) });
    assert.deepEqual(await spipe.command.exit(), { status: 1, signal: null });
    const words = kind === "unix" ? "no such socket" : "connection refused";
    assert.equal(saidBy(spipe), `spipe: Could not connect: cannot connect to: ${words}`);
  });

  test(
    `spipe on ${kind} keeps sending after the server's end until standard input ends, and exits 0`,
    limits,
    async (t) => {
      const { spipe, peer } = await startSpipe(t, kind);
      await peer.handshake();
      await peer.send(Buffer.from("all there is"));
      peer.link.finish();
      const stdout = spipe.digestToEnd();
      assert.equal((await stdout).lengthBytes, "all there is".length);
      assert.ok(!spipe.command.isGone);
      await spipe.write("and more");
      expectBytes(await peer.receive(8), "and more");
      spipe.finish();
      expectAll(await peer.receiveToEnd(), "");
      assert.deepEqual(await spipe.command.exit(), { status: 0, signal: null });
      assert.equal(spipe.command.stderr, "");
    },
  );

  test(`spipe on ${kind} exits 0 on SIGTERM`, limits, async (t) => {
    const { spipe, peer } = await startSpipe(t, kind);
    await peer.handshake();
    spipe.command.signal("SIGTERM");
    assert.deepEqual(await spipe.command.exit(), { status: 0, signal: null });
  });

  test(`spipe on ${kind} exits 1 when its standard output is closed`, limits, async (t) => {
    const { spipe, peer } = await startSpipe(t, kind);
    await peer.handshake();
    spipe.command.takeStdout().destroy();
    const data = randomData("unread", 1000);
    while (!spipe.command.isGone && (await peer.send(data)));
    assert.deepEqual(await spipe.command.exit(), { status: 1, signal: null });
    const why = "source standard input and output: standard output: broken pipe";
    assert.equal(saidBy(spipe), `spipe: Connection error: ${why}`);
  });
}

test("spipe works with files, pipes and /dev/null as its standard streams", limits, async (t) => {
  const tunnel = await startTunnel(t);
  tunnel.target.echo();
  const key = await newKey(t, tunnel.key.bytes);
  const folder = await temporaryFolder(t);
  const [input, output] = [join(folder, "input"), join(folder, "output")];
  const data = randomData("file", 3_000_000);
  await writeFile(input, data);
  const args = [...ours.spipe, "-t", textOf(tunnel.server.source), "-k", key.path, ...patience] as const;

  await t.test("from a file to a file", async () => {
    const [stdin, stdout] = [openSync(input, "r"), openSync(output, "w")];
    const command = Command.start(t, args, { stdin, stdout });
    assert.deepEqual(await command.exit(), { status: 0, signal: null });
    closeSync(stdin);
    closeSync(stdout);
    expectBytes(await readFile(output), data);
  });

  await t.test("from a pipe to a pipe", async () => {
    const shell = 'input=$1 output=$2; shift 2; cat "$input" | "$@" | cat > "$output"';
    const command = Command.start(t, ["sh", "-c", shell, "sh", input, output, ...args], { stdin: "ignore" });
    assert.deepEqual(await command.exit(), { status: 0, signal: null });
    expectBytes(await readFile(output), data);
  });

  await t.test("from /dev/null to a pipe", async () => {
    const command = Command.start(t, args, { stdin: "ignore" });
    assert.deepEqual(await command.exit(), { status: 0, signal: null });
    assert.equal(command.stdout.length, 0);
  });
});

test("spipe exits 1 when the target of the remote end is down", limits, async (t) => {
  const targetAddress = await freeAddress(t, "tcp");
  const tunnel = await startTunnel(t, { targetAddress });
  const spipe = Spipe.start(t, { program: ours, target: tunnel.server.source, key: tunnel.key });
  assert.deepEqual(await spipe.command.exit(), { status: 1, signal: null });
  assert.equal(spipe.command.stdout.length, 0);
  assert.equal(saidBy(spipe), "spipe: Connection error: target: connection reset by peer");
  const why = `connect failed: cannot connect to ${textOf(targetAddress)}: connection refused`;
  assert.equal(await untilReason(tunnel.server.command), why);
});
