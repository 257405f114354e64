// However a connection ends, with any relay and with or without forward secrecy, its secrets are wiped from the memory of
// the process. The same for programs that use the library, for daemons and for removed tunnels.

import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { join } from "node:path";
import { test } from "node:test";
import { textOf } from "../support/addresses.js";
import { limits } from "../support/cleanup.js";
import { Command } from "../support/command.js";
import { ConfigFile } from "../support/config-file.js";
import { startDaemon } from "../support/daemon.js";
import { Listener } from "../support/listener.js";
import { type Established, startClientEnd, startServerEnd } from "../support/one-end.js";
import { exponentsIn } from "../support/process-memory.js";
import { root } from "../support/programs.js";
import { ReferencePeer } from "../support/reference-peer.js";
import {
  comesToHold,
  endInPeace,
  exponentsAhead,
  holds,
  isSkipped,
  macs,
  ofConnection,
  ofDhMacs,
  ofKey,
  ofPacketKeys,
  PACKET_KEYS,
} from "../support/secrets-in-memory.js";
import { TestSocket } from "../support/test-socket.js";
import { newKey, patience } from "../support/tunnel.js";

/** More than one read takes, and an odd number of packets. */
const BULK_BYTES = 200_001;

const ends: Readonly<Record<string, (established: Established) => unknown>> = {
  "in order": endInPeace,
  "by the peer's reset": ({ peer }) => peer.link.reset(),
  "by the program's reset": ({ plain }) => plain.reset(),
  "by a changed packet": ({ peer }) => peer.write(peer.seal(randomBytes(100), { flippedBit: 8_000 })),
  "inside a packet": async ({ peer }) => {
    await peer.write(peer.seal(randomBytes(100)).subarray(0, 1_059));
    peer.link.finish();
  },
};

for (const { mac, env } of macs) {
  for (const start of [startServerEnd, startClientEnd]) {
    for (const relay of ["on", "off"]) {
      for (const flag of [[], ["-f"]]) {
        // Half of the combinations: each pair of choices occurs.
        if (
          [mac === macs[0]?.mac, start === startServerEnd, relay === "on", flag.length > 0].filter(Boolean).length % 2 >
          0
        ) {
          continue;
        }
        const end = [start === startServerEnd ? "spiped -d" : "spiped -e", ...flag].join(" ");
        const way = `${mac} and ${relay === "on" ? "the relay" : "pumps"}`;

        test(`${end} with ${way} wipes each connection's secrets, however it ends`, limits, async (t) => {
          const flags = [...patience, ...flag];
          const one = await start(t, { kind: "tcp", flags, env: { ...env, SPIPED_RELAY: relay } });
          const { command } = one.spiped;
          if (isSkipped(t, command)) return;
          const ahead = flag.length === 0 ? await exponentsAhead(command) : [];
          const open = [];
          for (const [index, finish] of Object.values(ends).entries()) {
            // One of the peers disables forward secrecy.
            const established = await one.establish(index === 0 ? { x: 0n } : {});
            await carryBulk(established);
            open.push({ established, finish, secrets: ofConnection(established.peer, ahead) });
          }
          for (const { secrets } of open) holds(command, secrets, PACKET_KEYS);
          for (const { established, finish, secrets } of open) {
            await finish(established);
            await Promise.all([established.plain.closed(), established.peer.link.closed()]);
            await comesToHold(command, secrets, []);
          }
          const all = open.flatMap(({ secrets }) => secrets);
          holds(command, [...ofKey(one.key.bytes), ...all], ["K"]);
          if (flag.length > 0) assert.deepEqual(exponentsIn(command.id), [], "and makes no pairs ahead");
        });
      }
    }
  }
}

test("after SIGTERM only the connections that are still open have secrets in memory", limits, async (t) => {
  const end = await startServerEnd(t, { kind: "tcp" });
  const { command } = end.spiped;
  if (isSkipped(t, command)) return;
  const ahead = await exponentsAhead(command);
  const established = await end.establish();
  const secrets = [...ofKey(end.key.bytes), ...ofConnection(established.peer, ahead)];
  holds(command, secrets, ["K", ...PACKET_KEYS]);
  command.signal("SIGTERM");
  await comesToHold(command, secrets, PACKET_KEYS);
  assert.deepEqual(exponentsIn(command.id), []);
});

test("the key of a tunnel removed from the configuration is wiped", limits, async (t) => {
  const [config, own] = [await ConfigFile.make(t), await newKey(t)];
  const [kept, removed] = [await config.pair("kept"), await config.pair("removed")];
  await config.write(kept.text(), removed.text({ key: own.path }, { key: own.path }));
  const command = await config.start();
  if (isSkipped(t, command)) return;
  await removed.connectThrough();
  holds(command, ofKey(own.bytes), ["K"]);
  await config.write(kept.text());
  await config.reload(command);
  await comesToHold(command, ofKey(own.bytes), []);
});

test("the daemon wipes a connection's secrets as spiped -F does", limits, async (t) => {
  const [key, target] = [await newKey(t), await Listener.listen(t, "tcp")];
  const daemon = await startDaemon(t, { source: "tcp", target: target.address, key, flags: patience });
  if (isSkipped(t, daemon)) return;
  const ahead = await exponentsAhead(daemon);
  const peer = ReferencePeer.client(await TestSocket.connect(t, daemon.source), { keyFile: key.bytes });
  await peer.handshake();
  const established = { peer, plain: await target.next() };
  await carryBulk(established);
  const secrets = [...ofKey(key.bytes), ...ofConnection(peer, ahead)];
  holds(daemon, secrets, ["K", ...PACKET_KEYS]);
  await endInPeace(established);
  await comesToHold(daemon, secrets, ["K"]);
});

/** Programs that print `at ADDRESS`, and, after a line on standard input, close everything and print `over`. */
const programs: Readonly<Record<string, string>> = {
  createTunnel: `
    const one = await createTunnel({ role: "decrypt", source, target, key });
    console.error("at", one.address);
    await told;
    await one.close();`,
  createServer: `
    const one = createServer({ key }, (stream) => stream.pipe(stream));
    await one.listen(source);
    console.error("at", one.address);
    await told;
    await one.close();`,
  connect: `
    const stream = connect({ target, key });
    stream.pipe(stream);
    await told;
    await new Promise((resolve) => stream.on("close", resolve).destroy());`,
};

for (const [name, code] of Object.entries(programs)) {
  test(
    `a program has no secrets in memory after closing the library's ${name} and destroying the key`,
    limits,
    async (t) => {
      const [key, other] = [await newKey(t), await Listener.listen(t, "tcp")];
      const program = `
      const { connect, createServer, createTunnel, readKeyFile } = await import(${JSON.stringify(join(root, "dist/index.js"))});
      const [source, target] = ["[127.0.0.1]:0", ${JSON.stringify(textOf(other.address))}];
      const key = await readKeyFile(${JSON.stringify(key.path)});
      const told = new Promise((resolve) => process.stdin.once("data", resolve));
      ${code}
      key.destroy();
      console.error("over");
      setInterval(() => 0, 1e6);`;
      const command = Command.start(t, [process.execPath, "--input-type=module", "-e", program]);
      if (isSkipped(t, command)) return;
      let peer: ReferencePeer;
      let finish: () => void = () => undefined;
      if (name === "connect") {
        peer = ReferencePeer.server(await other.next(), { keyFile: key.bytes });
      } else {
        const port = Number(/(\d+)$/.exec(await command.line(/^at /))?.[1]);
        const link = await TestSocket.connect(t, { kind: "tcp", host: "127.0.0.1", port });
        peer = ReferencePeer.client(link, { keyFile: key.bytes });
      }
      await peer.handshake();
      await peer.send(Buffer.from("hello"));
      if (name === "createTunnel") {
        const service = await other.next();
        await service.write(await service.read(5));
        finish = () => service.finish();
      }
      assert.equal(Buffer.from(await peer.receive(5)).toString(), "hello");
      const secrets = [...ofKey(key.bytes), ...ofDhMacs(peer), ...ofPacketKeys(peer)];
      holds(command, secrets, ["K", ...PACKET_KEYS]);
      peer.link.finish();
      finish();
      command.stdin.write("\n");
      await command.line(/^over/);
      await comesToHold(command, secrets, []);
      assert.deepEqual(exponentsIn(command.id), []);
    },
  );
}

/** Data both ways, in full packets, in short ones, and more than either side takes at once. */
async function carryBulk({ peer, plain }: Established): Promise<void> {
  const bytes = randomBytes(BULK_BYTES);
  const [, forward] = await Promise.all([peer.send(bytes), plain.read(bytes.length)]);
  const [, reverse] = await Promise.all([plain.write(bytes), peer.receive(bytes.length)]);
  assert.ok(bytes.equals(forward) && bytes.equals(reverse));
}
