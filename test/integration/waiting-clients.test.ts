// -n at either end: connections above the limit wait in the backlog; 0 means no limit.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { limits } from "../support/cleanup.js";
import { expectAll, expectBytes } from "../support/expect.js";
import type { TestSocket } from "../support/test-socket.js";
import { startTunnel, stopAndGetLines, type Tunnel } from "../support/tunnel.js";

const limitReached = /^spiped: connection limit reached \(-n 2\), new clients wait; hint: raise -n/;

for (const end of ["-d", "-e"] as const) {
  for (const kind of ["tcp", "unix"] as const) {
    test(`spiped ${end} on ${kind} keeps to the connection limit, and logs it once`, limits, async (t) => {
      const few = ["-n", "2", "-f"];
      const many = ["-n", "0", "-f"];
      const [clientFlags, serverFlags] = end === "-e" ? [few, many] : [many, few];
      const tunnel = await startTunnel(t, { kind, clientFlags, serverFlags });
      const open = new Set<TestSocket>();
      let most = 0;
      tunnel.target.onConnection((service) => {
        open.add(service);
        most = Math.max(most, open.size);
        service.socket.removeAllListeners("data");
        service.socket.once("end", () => open.delete(service));
        service.socket.pipe(service.socket);
      });
      await Promise.all(
        Array.from({ length: 50 }, async (_, index) => {
          const app = await tunnel.connect();
          await app.write(`client ${index}`);
          expectBytes(await app.read(`client ${index}`.length), `client ${index}`);
          app.finish();
          expectAll(await app.readToEnd(), "");
        }),
      );
      assert.equal(most, 2);
      const { command } = end === "-e" ? tunnel.client : tunnel.server;
      assert.equal(command.lines.filter((line) => limitReached.test(line)).length, 1);
      assert.deepEqual(await stopAndGetLines(tunnel.client), []);
      assert.deepEqual(await stopAndGetLines(tunnel.server), []);
    });

    test(`spiped ${end} on ${kind} at its limit serves the next client after a reset`, limits, async (t) => {
      const few = ["-n", "1"];
      const tunnel = await startTunnel(t, { kind, [end === "-e" ? "clientFlags" : "serverFlags"]: few });
      const { app, service } = await tunnel.connectThrough();
      const waiting = await tunnel.connect();
      await waiting.write("hello");
      await app.write("first");
      expectBytes(await service.read(5), "first");
      assert.equal(tunnel.target.acceptedCount, 1);
      app.reset();
      // On a UNIX socket, only a writer notices the close.
      if (kind === "unix") await service.untilWritesFail();
      expectBytes(await (await tunnel.target.next()).read(5), "hello");
    });

    test(
      `spiped ${end} on ${kind} at its limit exits on SIGTERM after its connections have ended`,
      limits,
      async (t) => {
        const tunnel = await startTunnel(t, { kind, [end === "-e" ? "clientFlags" : "serverFlags"]: ["-n", "1"] });
        const { app, service } = await tunnel.connectThrough();
        const { command } = end === "-e" ? tunnel.client : tunnel.server;
        await command.line(/connection limit reached \(-n 1\)/);
        command.signal("SIGTERM");
        await command.line(/SIGTERM/);
        await app.write("still here");
        app.finish();
        expectAll(await service.readToEnd(), "still here");
        service.finish();
        expectAll(await app.readToEnd(), "");
        assert.deepEqual(await command.exit(), { status: 0, signal: null });
      },
    );
  }
}

const connections = 1_100;
/** The test process has both sides of each connection. */
const neededDescriptors = 2 * connections + 200;

for (const kind of ["tcp", "unix"] as const) {
  test(`a tunnel on ${kind} with -n 0 at both ends has ${connections} connections open at once`, limits, async (t) => {
    const [, allowed = "0"] = /Max open files\s+\S+\s+(\d+)/.exec(readIfThere("/proc/self/limits")) ?? [];
    if (Number(allowed) < neededDescriptors) {
      t.skip(`needs ${neededDescriptors} descriptors, and ulimit -Hn is ${allowed}`);
      return;
    }
    const flags = ["-n", "0", "-f"];
    const tunnel = await startTunnel(t, { kind, clientFlags: flags, serverFlags: flags });
    tunnel.target.echo();
    const apps: TestSocket[] = [];
    while (apps.length < connections) apps.push(...(await Promise.all(greeted(tunnel, 100))));
    // All of them are open; each still works.
    await Promise.all(apps.map((app, index) => greet(app, `connection ${index}`)));
    for (const app of apps) app.finish();
    await Promise.all(apps.map(async (app) => expectAll(await app.readToEnd(), "")));
    assert.deepEqual(await stopAndGetLines(tunnel.client), []);
    assert.deepEqual(await stopAndGetLines(tunnel.server), []);
  });
}

function greeted(tunnel: Tunnel, count: number): readonly Promise<TestSocket>[] {
  return Array.from({ length: count }, async () => {
    const app = await tunnel.connect();
    await greet(app, "hello");
    return app;
  });
}

async function greet(app: TestSocket, text: string): Promise<void> {
  await app.write(text);
  expectBytes(await app.read(text.length), text);
}

function readIfThere(file: string): string {
  try {
    return readFileSync(file, "utf8");
  } catch {
    return "";
  }
}
