// The scenarios of the C original's own tests, with ours at both ends, and with the original at either end.

import assert from "node:assert/strict";
import { closeSync, openSync } from "node:fs";
import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { freeAddress } from "../support/addresses.js";
import { limits, temporaryFolder } from "../support/cleanup.js";
import { Command } from "../support/command.js";
import { expectAll, expectBytes } from "../support/expect.js";
import { ours, type Pair, type Program, pairOf, withCOriginal } from "../support/programs.js";
import { digestOfRandomData, randomData } from "../support/random-data.js";
import { carriesReplyAfterEnd } from "../support/scenarios.js";
import { argsOfSpipe, Spipe } from "../support/spipe.js";
import type { TestSocket } from "../support/test-socket.js";
import { newKey, startTunnel, type Tunnel } from "../support/tunnel.js";

const oursOnly = pairOf(ours, ours);
const kinds = ["tcp", "unix"] as const;

/** Every pair that includes ours, on every kind of socket. */
const placesOf = (pairs: readonly Pair[]) =>
  pairs.flatMap((pair) => kinds.map((kind) => ({ pair, kind, where: `${pair.name} on ${kind}` })));

scenarios([oursOnly]);
withCOriginal((c) => {
  scenarios([pairOf(ours, c), pairOf(c, ours)]);
  badTargets(c);
});
badTargets(ours);

function scenarios(pairs: readonly Pair[]): void {
  const places = placesOf(pairs);
  const names = pairs.map((pair) => pair.name).join(" and ");

  for (const { pair, kind, where } of places) {
    test(`${where} opens and closes connections, with and without a byte`, limits, async (t) => {
      const tunnel = await startTunnel(t, { pair, kind });
      for (let round = 1; round <= 10; round += 1) {
        await carriesReplyAfterEnd(tunnel, round % 2);
        await endsTogether(tunnel);
      }
      assert.equal(tunnel.target.acceptedCount, 20);
    });

    test(`${where} keeps overlapping connections separate`, limits, async (t) => {
      const tunnel = await startTunnel(t, { pair, kind });
      const open: { app: TestSocket; service: TestSocket; name: string }[] = [];
      for (let count = 1; count <= 30; count += 1) {
        open.push({ ...(await tunnel.connectThrough()), name: `connection ${count}` });
        for (const { app, service, name } of open) {
          await Promise.all([app.write(name), service.write(name.toUpperCase())]);
          expectBytes(await service.read(name.length), name);
          expectBytes(await app.read(name.length), name.toUpperCase());
        }
        // Three at a time; the oldest one ends while the others continue.
        const oldest = open.length > 3 ? open.shift() : undefined;
        if (oldest === undefined) continue;
        oldest.app.finish();
        expectAll(await oldest.service.readToEnd(), "");
        oldest.service.finish();
        expectAll(await oldest.app.readToEnd(), "");
      }
    });

    test(`${where} carries a file unchanged, and so does spipe in both directions`, limits, async (t) => {
      const tunnel = await startTunnel(t, { pair, kind });
      const lengthBytes = 5_000_000;
      const { app, service } = await tunnel.connectThrough();
      const received = service.digestToEnd();
      await app.writeRandomData("file", lengthBytes);
      app.finish();
      assert.deepEqual(await received, { digest: digestOfRandomData("file", lengthBytes), lengthBytes, end: "fin" });

      tunnel.target.echo();
      const folder = await temporaryFolder(t);
      const [input, output] = [join(folder, "input"), join(folder, "output")];
      const data = randomData("file", lengthBytes);
      await writeFile(input, data);
      const [stdin, stdout] = [openSync(input, "r"), openSync(output, "w")];
      const target = tunnel.server.source;
      const spipe = Command.start(t, argsOfSpipe({ program: pair.client, target, key: tunnel.key }), {
        stdin,
        stdout,
      });
      closeSync(stdin);
      closeSync(stdout);
      assert.deepEqual(await spipe.exit(), { status: 0, signal: null });
      expectBytes(await readFile(output), data);
    });
  }

  test(`${names}: a connection can stay open for longer than -o`, limits, async (t) => {
    const opened: { app: TestSocket; service: TestSocket; where: string }[] = [];
    for (const { pair, kind, where } of places) {
      const tunnel = await startTunnel(t, { pair, kind, timeLimit: ["-o", "3"] });
      const ends = await tunnel.connectThrough();
      // The handshake is over when a byte has arrived.
      await ends.app.write("before");
      expectBytes(await ends.service.read(6), "before");
      opened.push({ ...ends, where });
    }
    // This scenario needs time to pass; a longer wait changes nothing.
    await new Promise((resolve) => setTimeout(resolve, 3_500));
    for (const { app, service, where } of opened) {
      await Promise.all([app.write("after"), service.write("afterwards")]);
      expectBytes(await service.read(5), "after");
      expectAll({ bytes: await app.read(10), end: "fin" }, "afterwards");
      app.finish();
      assert.equal((await service.readToEnd()).end, "fin", where);
    }
  });

  test(`${names}: a slow echo arrives completely after the sender has ended`, limits, async (t) => {
    const data = randomData("slow echo", 3_000);
    const echoed: Promise<void>[] = [];
    for (const { pair, kind, where } of places) {
      const tunnel = await startTunnel(t, { pair, kind });
      tunnel.target.onConnection((service) => void echoSlowly(service));
      const app = await tunnel.connect();
      await app.write(data);
      app.finish();
      echoed.push(app.readToEnd().then((received) => expectAll(received, data)));
      const spipe = Spipe.start(t, { program: pair.client, target: tunnel.server.source, key: tunnel.key });
      await spipe.write(data);
      spipe.finish();
      const exited = spipe.command.exit().then(({ status }) => {
        assert.equal(status, 0, where);
        expectBytes(spipe.command.stdout, data);
      });
      echoed.push(exited);
    }
    await Promise.all(echoed);
  });
}

/** Both sides end without waiting for each other. */
async function endsTogether(tunnel: Tunnel): Promise<void> {
  const { app, service } = await tunnel.connectThrough();
  app.finish();
  service.finish();
  expectAll(await service.readToEnd(), "");
  expectAll(await app.readToEnd(), "");
}

/** Echoes 1,000 bytes a second, even after the other side has ended; then ends too. */
async function echoSlowly(service: TestSocket): Promise<void> {
  const { bytes } = await service.readToEnd();
  for (let at = 0; at < bytes.length; at += 250) {
    await service.write(bytes.subarray(at, at + 250));
    await new Promise((resolve) => setTimeout(resolve, 250));
  }
  service.finish();
}

function badTargets(program: Program): void {
  for (const kind of kinds) {
    test(`spipe of ${program.name} on ${kind} exits 1 at once when the connection is refused`, limits, async (t) => {
      const spipe = await startBad(t, program, kind);
      // The timeout is as long as the test's, so waiting for it would fail the test.
      assert.deepEqual(await spipe.command.exit(), { status: 1, signal: null });
      assert.match(spipe.command.stderr, /^spipe: Could not connect/);
    });
  }
}

async function startBad(t: TestContext, program: Program, kind: "tcp" | "unix"): Promise<Spipe> {
  return Spipe.start(t, { program, target: await freeAddress(t, kind), key: await newKey(t) });
}
