// Too few descriptors for all clients: the others wait in the backlog, no client is dropped, nothing exits.

import assert from "node:assert/strict";
import { type TestContext, test } from "node:test";
import { limits, until } from "../support/cleanup.js";
import { Command } from "../support/command.js";
import { expectAll, expectBytes } from "../support/expect.js";
import { isAlive } from "../support/one-end.js";
import { descriptorsOf } from "../support/processes.js";
import { ours, type Program, pairOf, withCommands } from "../support/programs.js";
import { ReferencePeer } from "../support/reference-peer.js";
import { TestSocket } from "../support/test-socket.js";
import { connectionLines, type Spiped, startTunnel, stopAndGetLines, type Tunnel } from "../support/tunnel.js";

/** The message that descriptors have run out, with the number of open connections. */
const usedUp = /^spiped: out of file descriptors with (\d+) open connections?, new clients wait/;

withCommands(["prlimit"], ([prlimit = ""]) => {
  /** Ours with a limit of descriptors: the hard limit too, since Node raises the soft one. */
  const oursWith = (descriptors: number): Program => ({
    ...ours,
    spiped: [prlimit, `--nofile=${descriptors}`, ...ours.spiped],
  });

  for (const end of ["-d", "-e"] as const) {
    for (const kind of ["tcp", "unix"] as const) {
      const where = `spiped ${end} on ${kind}`;

      /** A tunnel to an echo server, one end of which has few descriptors. */
      const start = async (t: TestContext, descriptors: number): Promise<{ tunnel: Tunnel; poor: Spiped }> => {
        const few = oursWith(descriptors);
        const pair = end === "-e" ? pairOf(few, ours) : pairOf(ours, few);
        const flags = ["-n", "0", "-f"];
        const tunnel = await startTunnel(t, { kind, pair, clientFlags: flags, serverFlags: flags });
        tunnel.target.echo();
        return { tunnel, poor: end === "-e" ? tunnel.client : tunnel.server };
      };

      test(
        `${where} without descriptors makes clients wait, logs it, and serves them as others leave`,
        limits,
        async (t) => {
          const { tunnel, poor } = await start(t, 68);
          const before = descriptorsOf(poor.command.id);
          const apps = await Promise.all(Array.from({ length: 40 }, () => tunnel.connect()));
          await Promise.all(apps.map((app) => app.write("hello")));
          const [, digits] = usedUp.exec(await poor.command.line(usedUp)) ?? [];
          const room = Number(digits);
          assert.ok(room > 1 && room < apps.length, `room for ${room}`);

          const served = new Set<TestSocket>();
          const someServed = (count: number): Promise<true> =>
            until(() => {
              for (const app of apps) if (app.waitingBytes === 5) served.add(app);
              return served.size >= count ? true : undefined;
            }, `${count} clients to be served`);
          await someServed(room);
          // Accepted clients continue meanwhile.
          for (let count = 0; count < 5; count += 1) {
            for (const app of served) await echoes(app, "hello again", count === 0 ? 5 : 0);
          }
          assert.equal(served.size, room);
          for (const app of apps.filter((one) => !served.has(one))) assert.equal(app.waitingBytes, 0);

          const ended = new Set<TestSocket>();
          while (ended.size < apps.length) {
            const next = [...served].find((app) => !ended.has(app));
            assert.ok(next !== undefined);
            next.finish();
            await next.end();
            ended.add(next);
            await someServed(Math.min(apps.length, room + ended.size));
          }
          for (const app of apps) assert.equal(await app.end(), "fin");
          await until(
            () => (descriptorsOf(poor.command.id) === before ? true : undefined),
            "the descriptors to be free",
          );
          // Logged only once, however often it happened.
          assert.equal(poor.command.lines.filter((line) => usedUp.test(line)).length, 1);
          assert.deepEqual(await stopAndGetLines(tunnel.client), []);
          assert.deepEqual(await stopAndGetLines(tunnel.server), []);
        },
      );

      test(`${where} without descriptors serves every client of a storm`, limits, async (t) => {
        const { tunnel, poor } = await start(t, 64);
        const before = descriptorsOf(poor.command.id);
        const clients = Array.from({ length: 400 }, async (_, index) => {
          const app = await tunnel.connect();
          await app.write(`client ${index}`);
          app.finish();
          expectAll(await app.readToEnd(), `client ${index}`);
        });
        await Promise.all(clients);
        await until(() => (descriptorsOf(poor.command.id) === before ? true : undefined), "the descriptors to be free");
        assert.deepEqual(await stopAndGetLines(tunnel.client), []);
        assert.deepEqual(await stopAndGetLines(tunnel.server), []);
      });
    }
  }

  for (const kind of ["tcp", "unix"] as const) {
    test(`spiped -d on ${kind} without descriptors survives a storm of strangers`, limits, async (t) => {
      const pair = pairOf(ours, oursWith(64));
      const { server, target, key } = await startTunnel(t, { kind, pair, serverFlags: ["-n", "0"] });
      const before = descriptorsOf(server.command.id);
      const strangers = Array.from({ length: 300 }, async (_, index) => {
        const stranger = await TestSocket.connect(t, server.source);
        if (index % 3 === 0) stranger.reset();
        else if (index % 3 === 1) stranger.finish();
        else await stranger.write(new Uint8Array(320));
        if (index % 3 !== 0) await stranger.end();
      });
      await Promise.all(strangers);
      const peer = ReferencePeer.client(await TestSocket.connect(t, server.source), { keyFile: key.bytes });
      await peer.handshake();
      const friend = { peer, plain: await target.next() };
      assert.ok(await isAlive(friend));
      assert.equal(target.acceptedCount, 1);
      peer.link.finish();
      friend.plain.finish();
      expectAll(await peer.receiveToEnd(), "");
      await until(() => (descriptorsOf(server.command.id) === before ? true : undefined), "the descriptors to be free");
      assert.ok(connectionLines(server.command).length <= 300);
    });

    test(`a tunnel on ${kind} with few descriptors left carries one connection after the other`, limits, async (t) => {
      const few = oursWith(40);
      const tunnel = await startTunnel(t, { kind, pair: pairOf(few, few), clientFlags: ["-f"] });
      tunnel.target.echo();
      await Promise.all(
        Array.from({ length: 20 }, async () => {
          const app = await tunnel.connect();
          await echoes(app, "hello");
          app.finish();
          assert.equal(await app.end(), "fin");
        }),
      );
      assert.equal(usedUp.exec(await tunnel.client.command.line(usedUp))?.[1], "1");
      assert.deepEqual(await stopAndGetLines(tunnel.client), []);
      assert.deepEqual(await stopAndGetLines(tunnel.server), []);
    });
  }

  for (const relay of [true, false]) {
    // Without the relay, accepting again means listening again, which needs a descriptor.
    const what = relay ? "accept" : "listen again";
    test(`spiped that cannot even ${what} logs that once, and retries until it can`, limits, async (t) => {
      const client: Program = { ...ours, spiped: ["env", `SPIPED_RELAY=${relay ? "on" : "off"}`, ...ours.spiped] };
      const tunnel = await startTunnel(t, { clientFlags: ["-n", "3"], pair: pairOf(client, ours) });
      tunnel.target.echo();
      const { command } = tunnel.client;
      const open = [await tunnel.connect(), await tunnel.connect(), await tunnel.connect()];
      for (const app of open) await echoes(app, "hello");
      await command.line(/connection limit reached/);
      const waiting = await tunnel.connect();
      await waiting.write("hello");
      const setSoftLimit = async (descriptors: number): Promise<void> => {
        const args = [prlimit, "--pid", String(command.id), `--nofile=${descriptors}:`] as const;
        assert.equal((await Command.run(t, args)).status, 0);
      };
      // Fewer than are open: nothing more can be opened.
      await setSoftLimit(10);
      for (const app of open) {
        app.finish();
        expectAll(await app.readToEnd(), "");
      }
      const refused = relay
        ? /^spiped: cannot accept a connection: .*too many open files/i
        : /^spiped: cannot listen on .*: .*too many open files/i;
      await command.line(refused);
      assert.equal(waiting.waitingBytes, 0);
      await setSoftLimit(1024);
      expectBytes(await waiting.read(5), "hello");
      await echoes(await tunnel.connect(), "hello");
      // Logged only once a minute, however often it retries.
      assert.equal(command.lines.filter((line) => refused.test(line)).length, 1);
      assert.deepEqual(connectionLines(command), []);
    });
  }
});

/** Sends and reads the echo, after `waitingBytes` bytes that have already arrived. */
async function echoes(app: TestSocket, text: string, waitingBytes = 0): Promise<void> {
  await app.read(waitingBytes);
  await app.write(text);
  expectBytes(await app.read(text.length), text);
}
