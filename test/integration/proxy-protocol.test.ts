// --proxy-protocol: the service gets the client's address before any data, from either end and with any relay.

import assert from "node:assert/strict";
import { once } from "node:events";
import { test } from "node:test";
import { type ConnectionReport, createTunnel } from "#dist/index.js";
import { freeAddress, freePort, textOf } from "../support/addresses.js";
import { afterwards, limits } from "../support/cleanup.js";
import { Command } from "../support/command.js";
import { kindsHere } from "../support/environment.js";
import { expectBytes } from "../support/expect.js";
import { ClientKeys, startForMany } from "../support/key-folder.js";
import { free, key } from "../support/library.js";
import { Listener } from "../support/listener.js";
import { startClientEnd, startServerEnd } from "../support/one-end.js";
import { ours } from "../support/programs.js";
import { type ProxyHeader, parseProxyHeader, readProxyHeader } from "../support/proxy-header.js";
import { ReferencePeer } from "../support/reference-peer.js";
import { TestSocket } from "../support/test-socket.js";
import { newKey, patience, startTunnel } from "../support/tunnel.js";

const announcing = ["--proxy-protocol"];
const flags = [...patience, ...announcing];
const both = [
  { way: "the relay", env: {} },
  { way: "pumps", env: { SPIPED_RELAY: "off" } },
] as const;

const ofService = (service: TestSocket): Promise<ProxyHeader> => readProxyHeader((length) => service.read(length));

const fields: ProxyHeader["fields"] = new Map();
const nobody: ProxyHeader = { command: "LOCAL", family: "none", source: undefined, destination: undefined, fields };

/** The expected header for a connection of the test. */
function announced({ socket }: TestSocket): ProxyHeader {
  const { localAddress, localPort, remoteAddress, remotePort } = socket;
  if (localAddress === undefined || remoteAddress === undefined) return nobody;
  const family = localAddress === "::1" ? "TCP6" : "TCP4";
  const full = (address: string) => (address === "::1" ? "0:0:0:0:0:0:0:1" : address);
  const [source, destination] = [`${full(localAddress)} ${localPort}`, `${full(remoteAddress)} ${remotePort}`];
  return { command: "PROXY", family, source, destination, fields };
}

for (const { way, env } of both) {
  for (const kind of kindsHere("tcp", "tcp6", "unix")) {
    test(`-d with ${way} on ${kind} announces the peer to a service that speaks first`, limits, async (t) => {
      const end = await startServerEnd(t, { kind, flags, env });
      const link = await end.dial();
      const peer = ReferencePeer.client(link, { keyFile: end.key.bytes });
      await peer.handshake();
      const service = await end.target.next();
      assert.deepEqual(await ofService(service), announced(link));
      await service.write("220 hello\r\n");
      expectBytes(await peer.receive(11), "220 hello\r\n");
      await peer.send(Buffer.from("QUIT\r\n"));
      expectBytes(await service.read(6), "QUIT\r\n");
    });

    test(`-e with ${way} on ${kind} announces the application at once, in the first packet`, limits, async (t) => {
      const end = await startClientEnd(t, { kind, flags, env });
      const { app, peer } = await end.server();
      await peer.handshake();
      assert.deepEqual(await readProxyHeader((length) => peer.receive(length)), announced(app));
      await peer.send(Buffer.from("220 hello\r\n"));
      expectBytes(await app.read(11), "220 hello\r\n");
      await app.write("QUIT\r\n");
      expectBytes(await peer.receive(6), "QUIT\r\n");
    });
  }

  test(`-d with ${way} announces a client first that has sent everything and ended before`, limits, async (t) => {
    const end = await startServerEnd(t, { kind: "tcp", flags, env });
    const link = await end.dial();
    const peer = ReferencePeer.client(link, { keyFile: end.key.bytes });
    await peer.handshake();
    await peer.send(Buffer.from("all that there is"));
    link.finish();
    const service = await end.target.next();
    assert.deepEqual(await ofService(service), announced(link));
    const rest = await service.readToEnd();
    expectBytes(rest.bytes, "all that there is");
    assert.equal(rest.end, "fin");
    service.finish();
    assert.equal(await link.end(), "fin");
  });

  test(`-e with ${way} announces a client first that has sent everything and ended before`, limits, async (t) => {
    const end = await startClientEnd(t, { kind: "tcp", flags, env });
    const { app, peer } = await end.server();
    await app.write("all that there is");
    app.finish();
    await peer.handshake();
    assert.deepEqual(await readProxyHeader((length) => peer.receive(length)), announced(app));
    const rest = await peer.receiveToEnd();
    expectBytes(rest.bytes, "all that there is");
    assert.equal(rest.end, "fin");
  });

  test(
    `-e with ${way} announces an application that has already been reset, and passes the reset on`,
    limits,
    async (t) => {
      const end = await startClientEnd(t, { kind: "tcp", flags, env });
      const { app, peer } = await end.server();
      const expected = announced(app);
      app.reset();
      await peer.handshake();
      // Check the log: Node sometimes reports a reset right after data as an end, and an end that notices the reset before
      // the handshake is over has sent nothing, and closes.
      const { bytes } = await peer.receiveToEnd();
      await end.spiped.command.line(/: reset: source .*: connection reset by peer/);
      // A reset may discard data already sent.
      if (bytes.length > 0) assert.deepEqual(parseProxyHeader(bytes), expected);
    },
  );

  test(`with ${way}, an IPv4 client of a socket that listens on [::] is announced as IPv4`, limits, async (t) => {
    const key = await newKey(t);
    const target = await Listener.listen(t, "tcp");
    const port = await freePort("127.0.0.1");
    const args = ["-F", "-d", "-s", `[::]:${port}`, "-t", textOf(target.address), "-k", key.path, ...flags];
    await Command.start(t, [...ours.spiped, ...args], { stdin: "ignore", env }).line(/listening/i);
    const link = await TestSocket.connect(t, { kind: "tcp", host: "127.0.0.1", port });
    await ReferencePeer.client(link, { keyFile: key.bytes }).handshake();
    assert.deepEqual(await ofService(await target.next()), announced(link));
  });
}

test("each of 64 simultaneous connections is announced with its own address", limits, async (t) => {
  const { connect, target } = await startTunnel(t, { clientFlags: announcing });
  const apps = await Promise.all(Array.from({ length: 64 }, connect));
  const digits = (number: number) => String(number).padStart(2, "0");
  await Promise.all(apps.map((app, number) => app.write(digits(number))));
  const seen = new Map<string | undefined, string>();
  for (const _ of apps) {
    const service = await target.next();
    const { source } = await ofService(service);
    seen.set(source, Buffer.from(await service.read(2)).toString());
  }
  for (const [number, app] of apps.entries()) assert.equal(seen.get(announced(app).source), digits(number));
});

test("-d with a key folder also announces the name of the client's key", limits, async (t) => {
  const keys = await ClientKeys.make(t, []);
  // The longest name that a file can have, including `.key`.
  const names = ["alice", "bücher", "n".repeat(251)];
  const added = names.map((name) => ({ name, key: keys.add(name) }));
  const end = await startForMany(t, keys, { flags: announcing });
  for (const { name, key: its } of added) {
    const { peer, plain } = await end.establish(its);
    const { fields: sent, ...rest } = await ofService(plain);
    assert.deepEqual({ ...rest, fields }, announced(peer.link));
    assert.deepEqual([...sent], [[0xe0, Buffer.from(name)]]);
  }
});

test("with the flag on both ends, -d's header comes first and -e's is data to it", limits, async (t) => {
  const { connectThrough, client } = await startTunnel(t, { clientFlags: announcing, serverFlags: announcing });
  const { app, service } = await connectThrough();
  const [first, second] = [await ofService(service), await ofService(service)];
  assert.notDeepEqual(first, second);
  assert.deepEqual(second, announced(app));
  assert.equal(first.command, "PROXY");
  assert.ok(client.source.kind === "tcp" && second.destination?.endsWith(` ${client.source.port}`));
});

test("without the flag nothing is announced", limits, async (t) => {
  const end = await startServerEnd(t, { kind: "tcp" });
  const { peer, plain } = await end.establish();
  await peer.send(Buffer.from("x"));
  peer.link.finish();
  expectBytes((await plain.readToEnd()).bytes, "x");
});

test(
  "createTunnel with proxyProtocol announces at either end, and counts only the source's own bytes",
  limits,
  async (t) => {
    const target = await Listener.listen(t, "tcp");
    const common = { key, source: free, timeoutMs: 60_000, proxyProtocol: true };
    const far = await createTunnel({ ...common, role: "decrypt", target: textOf(target.address) });
    afterwards(t, () => far.destroy());
    const near = await createTunnel({ ...common, role: "encrypt", target: far.address });
    afterwards(t, () => near.destroy());
    const reports = [near, far].map((tunnel) => once(tunnel, "ended") as Promise<[ConnectionReport]>);
    const app = await TestSocket.connect(t, {
      kind: "tcp",
      host: "127.0.0.1",
      port: Number(near.address.split(":").at(-1)),
    });
    await app.write("five!");
    app.finish();
    const service = await target.next();
    await ofService(service);
    const header = await ofService(service);
    assert.equal(header.source, announced(app).source);
    expectBytes((await service.readToEnd()).bytes, "five!");
    await service.write("answer");
    service.finish();
    const [[ofNear] = [], [ofFar] = []] = await Promise.all(reports);
    assert.deepEqual([ofNear?.reason, ofNear?.bytesForward, ofNear?.bytesReverse], ["closed", 5, 6]);
    // The header that -e sends is data to -d.
    assert.deepEqual([ofFar?.reason, ofFar?.bytesForward, ofFar?.bytesReverse], ["closed", 28 + 5, 6]);
  },
);

test("--check sends a header without an address to the service, and recognizes its protocol", limits, async (t) => {
  const target = await Listener.listen(t, "tcp");
  const { path } = await newKey(t);
  const source = textOf(await freeAddress(t, "tcp"));
  const args = ["--check", "-d", "-F", "-s", source, "-t", textOf(target.address), "-k", path, ...flags];
  const check = Command.start(t, [...ours.spiped, ...args], { stdin: "ignore" });
  const service = await target.next();
  assert.deepEqual(await ofService(service), nobody);
  await service.write("SSH-2.0-test\r\n");
  service.finish();
  assert.deepEqual(await check.exit(), { status: 0, signal: null });
  assert.match(check.stdout.toString(), /^ok {7}service: .*ssh/im);
});
