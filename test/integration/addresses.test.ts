// Addresses as people write them: names, services, IPv6, targets with several addresses, and -b.

import assert from "node:assert/strict";
import { lookup } from "node:dns/promises";
import { existsSync, readFileSync } from "node:fs";
import { type TestContext, test } from "node:test";
import { freePort, textOf } from "../support/addresses.js";
import { limits } from "../support/cleanup.js";
import { Command } from "../support/command.js";
import { kindsHere, skipLoudly, withoutIpv6 } from "../support/environment.js";
import { expectBytes } from "../support/expect.js";
import { Listener } from "../support/listener.js";
import { startClientEnd } from "../support/one-end.js";
import { ours } from "../support/programs.js";
import { ReferencePeer } from "../support/reference-peer.js";
import { Spipe } from "../support/spipe.js";
import { TestSocket } from "../support/test-socket.js";
import { type Key, newKey, patience, startSpiped } from "../support/tunnel.js";

/** Our spiped -d in front of a target written as `targetText`, and a client that has completed its handshake. */
async function clientOf(t: TestContext, targetText: string, flags: readonly string[] = []): Promise<ReferencePeer> {
  const key = await newKey(t);
  const port = await freePort("127.0.0.1");
  const args = ["-F", "-d", "-s", `[127.0.0.1]:${port}`, "-t", targetText, "-k", key.path, ...patience, ...flags];
  const command = Command.start(t, [...ours.spiped, ...args], { stdin: "ignore" });
  await command.line(/listening/i);
  const link = await TestSocket.connect(t, { kind: "tcp", host: "127.0.0.1", port });
  const peer = ReferencePeer.client(link, { keyFile: key.bytes });
  await peer.handshake();
  return peer;
}

async function reaches(peer: ReferencePeer, target: Listener): Promise<TestSocket> {
  const service = await target.next();
  await peer.send(Buffer.from("hello"));
  expectBytes(await service.read(5), "hello");
  return service;
}

function portOf(listener: Listener): number {
  if (listener.address.kind === "unix") throw new Error("a UNIX socket has no port");
  return listener.address.port;
}

for (const kind of kindsHere("tcp", "tcp6")) {
  test(`a target given by name is reached if it listens on ${kind} only`, limits, async (t) => {
    const family = kind === "tcp" ? 4 : 6;
    const addresses = await lookup("localhost", { all: true });
    if (!addresses.some((address) => address.family === family)) {
      t.skip(`localhost has no IPv${family} address here`);
      return;
    }
    const target = await Listener.listen(t, kind);
    await reaches(await clientOf(t, `localhost:${portOf(target)}`), target);
  });
}

test("a source can be given by name", limits, async (t) => {
  const key = await newKey(t);
  const target = await Listener.listen(t, "tcp");
  const port = await freePort("127.0.0.1");
  const args = ["-F", "-e", "-s", `localhost:${port}`, "-t", textOf(target.address), "-k", key.path];
  const command = Command.start(t, [...ours.spiped, ...args], { stdin: "ignore" });
  await command.line(/listening/i);
  const [first] = await lookup("localhost", { all: true });
  await TestSocket.connect(t, { kind: "tcp", host: first?.family === 6 ? "::1" : "127.0.0.1", port });
});

test("a target's port can be the name of a service", { ...limits, skip: withoutServices() }, async (t) => {
  const key = await newKey(t);
  const port = await freePort("127.0.0.1");
  const args = ["-F", "-d", "-s", `[127.0.0.1]:${port}`, "-t", "[127.0.0.1]:http", "-k", key.path];
  await Command.start(t, [...ours.spiped, ...args], { stdin: "ignore" }).line(/listening/i);
});

for (const kind of kindsHere("tcp", "tcp6")) {
  const host = kind === "tcp" ? "127.0.0.1" : "::1";
  test(`-b [${host}] with and without a port sets the source address of spiped's connections`, limits, async (t) => {
    const target = await Listener.listen(t, kind);
    for (const bind of [`[${host}]`, `[${host}]:0`]) {
      const service = await reaches(await clientOf(t, textOf(target.address), ["-b", bind]), target);
      assert.equal(service.socket.remoteAddress, host);
    }
    const port = await freePort(host);
    const peer = await clientOf(t, textOf(target.address), ["-b", `[${host}]:${port}`]);
    assert.equal((await reaches(peer, target)).socket.remotePort, port);
  });

  test(`-b [${host}] with a port sets the source address of spipe's connection`, limits, async (t) => {
    const key = await newKey(t);
    const link = await Listener.listen(t, kind);
    const port = await freePort(host);
    const flags = ["-b", `[${host}]:${port}`];
    Spipe.start(t, { program: ours, target: link.address, key, flags });
    assert.equal((await link.next()).socket.remotePort, port);
  });
}

test(
  "a -b of a different address family than the target fails the connection with a log message, and spiped continues",
  limits,
  async (t) => {
    const key: Key = await newKey(t);
    const target = await Listener.listen(t, "tcp");
    const flags = ["-b", "[::1]"];
    const spiped = await startSpiped(t, { end: "-d", source: "tcp", target: target.address, key, flags });
    for (let count = 1; count <= 2; count += 1) {
      const peer = ReferencePeer.client(await TestSocket.connect(t, spiped.source), { keyFile: key.bytes });
      await peer.sendNonce();
      await peer.readNonce();
      await peer.write(peer.macedPublicValue());
      await peer.link.end();
      await spiped.command.line(/there is no local IPv4 address to connect from/, count);
    }
  },
);

test("spiped -e accepts a source and a target on IPv6", { ...limits, skip: withoutIpv6 }, async (t) => {
  const end = await startClientEnd(t, { kind: "tcp6" });
  const { peer, plain } = await end.establish();
  await plain.write("hello");
  expectBytes(await peer.receive(5), "hello");
});

/** Why service names cannot be looked up here, for `skip`. */
function withoutServices(): string | false {
  const file = "/etc/services";
  if (existsSync(file) && /^http\s/m.test(readFileSync(file, "utf8"))) return false;
  return skipLoudly(`needs the service http in ${file} (package netbase)`);
}
