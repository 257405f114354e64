// Data through tunnels with our spiped at both ends, over every kind of socket.

import assert from "node:assert/strict";
import { test } from "node:test";
import { limits } from "../support/cleanup.js";
import { kindsHere, withoutIpv6 } from "../support/environment.js";
import { expectAll } from "../support/expect.js";
import { Listener } from "../support/listener.js";
import { randomData } from "../support/random-data.js";
import { carriesBothWaysAtOnce, carriesManyAtOnce, carriesReplyAfterEnd } from "../support/scenarios.js";
import { TestSocket } from "../support/test-socket.js";
import { newKey, startSpiped, startTunnel } from "../support/tunnel.js";

const MiB = 1024 * 1024;
const boundaries = [0, 1, 1023, 1024, 1025, 2048, 65_535, 65_536, 65_537];

for (const kind of kindsHere("tcp", "tcp6", "unix")) {
  test(
    `a tunnel on ${kind} carries messages of every size around the boundaries of packets and reads`,
    limits,
    async (t) => {
      const tunnel = await startTunnel(t, { kind });
      for (const lengthBytes of boundaries) await carriesReplyAfterEnd(tunnel, lengthBytes);
    },
  );

  test(`a tunnel on ${kind} carries 64 MiB in both directions at once`, limits, async (t) => {
    await carriesBothWaysAtOnce(await startTunnel(t, { kind }), 64 * MiB);
  });

  test(`a tunnel on ${kind} carries 100 connections at once`, limits, async (t) => {
    await carriesManyAtOnce(await startTunnel(t, { kind }), 100);
  });
}

for (const [clientFlags, serverFlags] of [
  [["-f"], []],
  [[], ["-f"]],
  [["-f"], ["-f"]],
  [["-g"], ["-g"]],
  [["-j"], ["-j"]],
] as const) {
  test(
    `a tunnel with client flags [${clientFlags}] and server flags [${serverFlags}] carries data`,
    limits,
    async (t) => {
      await carriesReplyAfterEnd(await startTunnel(t, { clientFlags, serverFlags }), 100_000);
    },
  );
}

test("a tunnel carries data from a UNIX socket over IPv6 to a TCP target", {
  ...limits,
  skip: withoutIpv6,
}, async (t) => {
  const key = await newKey(t);
  const target = await Listener.listen(t, "tcp");
  const server = await startSpiped(t, { end: "-d", source: "tcp6", target: target.address, key });
  const client = await startSpiped(t, { end: "-e", source: "unix", target: server.source, key });
  target.echo();
  const app = await TestSocket.connect(t, client.source);
  const data = randomData("mixed", 100_000);
  await app.write(data);
  app.finish();
  expectAll(await app.readToEnd(), data);
});

test("key files of 1 byte, 32 bytes and 1 MiB work, and a final newline is part of the key", limits, async (t) => {
  for (const bytes of [Uint8Array.of(7), randomData("key", 32), randomData("key", MiB)]) {
    const key = await newKey(t, bytes);
    await carriesReplyAfterEnd(await startTunnel(t, { serverKey: key, clientKey: key }), 1);
  }
  const clientKey = await newKey(t, Buffer.from("passphrase"));
  const serverKey = await newKey(t, Buffer.from("passphrase\n"));
  const tunnel = await startTunnel(t, { clientKey, serverKey });
  const app = await tunnel.connect();
  expectAll(await app.readToEnd(), "", "reset");
  assert.equal(tunnel.target.acceptedCount, 0);
});

test("a tunnel resets the application while the target is down, and works when it is up", limits, async (t) => {
  const key = await newKey(t);
  const target = await Listener.listen(t, "tcp");
  const server = await startSpiped(t, { end: "-d", source: "tcp", target: target.address, key });
  const client = await startSpiped(t, { end: "-e", source: "tcp", target: server.source, key });
  target.close();
  const unlucky = await TestSocket.connect(t, client.source);
  expectAll(await unlucky.readToEnd(), "", "reset");
  await server.command.line(/connect/i);
  await target.listenAgain();
  target.echo();
  const lucky = await TestSocket.connect(t, client.source);
  await lucky.write("hello");
  assert.equal(Buffer.from(await lucky.read(5)).toString(), "hello");
});

test("a tunnel resets the application when the remote end is down", limits, async (t) => {
  const tunnel = await startTunnel(t);
  await tunnel.server.command.kill();
  const app = await tunnel.connect();
  expectAll(await app.readToEnd(), "", "reset");
  await tunnel.client.command.line(/connect/i);
});

test("a sending application notices when the remote end is killed", limits, async (t) => {
  const tunnel = await startTunnel(t);
  const { app, service } = await tunnel.connectThrough();
  const sending = app.writeRandomData("killed", 20 * MiB);
  await service.read(MiB);
  await tunnel.server.command.kill();
  await sending;
  await app.untilWritesFail();
});
