// -n and -o: how many connections at once, and how long a connect and a handshake may take.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { textOf } from "../support/addresses.js";
import { limits } from "../support/cleanup.js";
import { Command } from "../support/command.js";
import { deafAddress } from "../support/deaf-listener.js";
import { expectAll, expectBytes } from "../support/expect.js";
import { isAlive, startServerEnd } from "../support/one-end.js";
import { reasonsOf, wrongMac } from "../support/reasons.js";
import { ReferencePeer } from "../support/reference-peer.js";
import { keepAliveTimer, noTimer, timerOf } from "../support/tcp-timer.js";
import { TestSocket } from "../support/test-socket.js";
import { newKey, patience, startSpiped, startTunnel, stopAndGetLines } from "../support/tunnel.js";

// Full backlogs and the display of timers are specific to Linux.
const onLinux = { ...limits, skip: process.platform === "linux" ? false : "needs Linux" };

async function greet(app: TestSocket): Promise<void> {
  await app.write("hello");
  expectBytes(await app.read(5), "hello");
}

for (const relay of ["on", "off"]) {
  test(`the listen backlog is 1,024, or the system's limit, with the relay ${relay}`, onLinux, async (t) => {
    const end = await startServerEnd(t, { kind: "tcp", env: relay === "off" ? { SPIPED_RELAY: "off" } : {} });
    assert.ok(end.spiped.source.kind === "tcp");
    const limit = Number(readFileSync("/proc/sys/net/core/somaxconn", "latin1"));
    const shown = await Command.run(t, ["ss", "-Hltn", `sport = :${end.spiped.source.port}`]);
    assert.equal(Number(shown.stdout.split(/\s+/)[2]), Math.min(1_024, limit));
  });
}

for (const kind of ["tcp", "unix"] as const) {
  test(`with -n on ${kind}, further clients wait in order and are served as others end`, limits, async (t) => {
    const tunnel = await startTunnel(t, { kind, clientFlags: ["-n", "2"] });
    tunnel.target.echo();
    const [first, second] = [await tunnel.connect(), await tunnel.connect()];
    await greet(first);
    await greet(second);
    const waiting = /^spiped: connection limit reached \(-n 2\), new clients wait; hint: raise -n, /;
    assert.match(await tunnel.client.command.line(/-n/), waiting);

    const third = await tunnel.connect();
    await third.write("hello");
    const fourth = await tunnel.connect();
    fourth.finish();
    for (let count = 0; count < 50; count += 1) await greet(first);
    assert.equal(tunnel.target.acceptedCount, 2);
    assert.equal(third.waitingBytes, 0);

    first.finish();
    expectAll(await first.readToEnd(), "");
    expectBytes(await third.read(5), "hello");
    assert.equal(tunnel.target.acceptedCount, 3);
    second.finish();
    expectAll(await second.readToEnd(), "");
    expectAll(await fourth.readToEnd(), "");
    await greet(third);
    third.finish();
    expectAll(await third.readToEnd(), "");
    assert.deepEqual(await stopAndGetLines(tunnel.client), []);
    assert.deepEqual(await stopAndGetLines(tunnel.server), []);
  });

  test(`with -n 0 on ${kind}, more than the usual 100 connections are served at once`, limits, async (t) => {
    const flags = ["-n", "0"];
    const tunnel = await startTunnel(t, { kind, clientFlags: flags, serverFlags: flags });
    tunnel.target.echo();
    const apps = await Promise.all(Array.from({ length: 130 }, () => tunnel.connect()));
    await Promise.all(apps.map(greet));
  });

  test(`with -n on ${kind}, a client that fails makes room too`, limits, async (t) => {
    const end = await startServerEnd(t, { kind, flags: ["-n", "1", ...patience] });
    for (let count = 1; count <= 3; count += 1) {
      const stranger = await end.client();
      const friend = await end.client();
      await stranger.write(new Uint8Array(320));
      await friend.handshake();
      const plain = await end.target.next();
      assert.ok(await isAlive({ peer: friend, plain }));
      friend.link.finish();
      plain.finish();
      expectAll(await friend.receiveToEnd(), "");
    }
    await stopAndGetLines(end.spiped);
    assert.deepEqual(reasonsOf(end.spiped), [wrongMac, wrongMac, wrongMac]);
  });
}

test("without -n, the hundred-and-first client waits", limits, async (t) => {
  const tunnel = await startTunnel(t, { serverFlags: ["-n", "0"] });
  tunnel.target.echo();
  const apps: TestSocket[] = [];
  for (let count = 0; count < 100; count += 1) {
    const app = await tunnel.connect();
    await greet(app);
    apps.push(app);
  }
  const waiting = await tunnel.connect();
  await waiting.write("hello");
  for (const app of apps) await greet(app);
  assert.equal(tunnel.target.acceptedCount, 100);
  apps[50]?.finish();
  expectBytes(await waiting.read(5), "hello");
});

for (const end of ["-d", "-e"] as const) {
  test(`spiped ${end} stops dialing a silent target after -o, and resets its client`, onLinux, async (t) => {
    const key = await newKey(t);
    const target = await deafAddress(t);
    const spiped = await startSpiped(t, { end, source: "tcp", target, key, flags: ["-o", "0.7"] });
    const client = await TestSocket.connect(t, spiped.source);
    if (end === "-d") await ReferencePeer.client(client, { keyFile: key.bytes }).handshake();
    assert.equal(await client.endWhileOpen(), "reset");
    await stopAndGetLines(spiped);
    assert.deepEqual(reasonsOf(spiped), [`timed out: no answer from ${textOf(target)} within 0.7 s`]);
  });
}

test("connections have TCP keep-alive on both sides, and with -j on none", onLinux, async (t) => {
  for (const [flags, expected] of [
    [[], keepAliveTimer],
    [["-j"], noTimer],
  ] as const) {
    const end = await startServerEnd(t, { kind: "tcp", flags: [...flags, ...patience] });
    const { peer, plain } = await end.establish();
    assert.ok(await isAlive({ peer, plain }));
    assert.equal(await timerOf(peer.link.socket.remotePort, peer.link.socket.localPort), expected);
    assert.equal(await timerOf(plain.socket.remotePort, plain.socket.localPort), expected);
  }
});
