// spipe against spiped -d, one of them the C original.

import assert from "node:assert/strict";
import { test } from "node:test";
import { freeAddress } from "../support/addresses.js";
import { limits } from "../support/cleanup.js";
import { expectAll } from "../support/expect.js";
import { Listener } from "../support/listener.js";
import { type Pair, pairsWith, withCOriginal } from "../support/programs.js";
import { digestOf, digestOfRandomData, randomData } from "../support/random-data.js";
import { Spipe } from "../support/spipe.js";
import { newKey, patience, startSpiped } from "../support/tunnel.js";

const bothWaysBytes = 64 * 1024 * 1024;

withCOriginal((c) => {
  for (const pair of pairsWith(c)) {
    for (const kind of ["tcp", "unix"] as const) {
      for (const flags of [[], ["-f"], ["-g"]] as const) spipeTests(pair, kind, flags);
    }
  }
});

function spipeTests(pair: Pair, kind: "tcp" | "unix", flags: readonly string[]): void {
  test(`spipe ${pair.name} on ${kind} with flags [${flags}] carries everything and exits 0`, limits, async (t) => {
    const key = await newKey(t);
    const target = await Listener.listen(t, kind);
    const server = await startSpiped(t, {
      program: pair.server,
      end: "-d",
      source: kind,
      target: target.address,
      key,
      flags: [...patience, ...flags],
    });
    const start = (): Spipe => Spipe.start(t, { program: pair.client, target: server.source, key, flags });

    for (const lengthBytes of [0, 1, 100_000]) {
      const spipe = start();
      const service = await target.next();
      const request = randomData("request", lengthBytes);
      const reply = randomData("reply", lengthBytes + 1);
      await spipe.write(request);
      spipe.finish();
      expectAll(await service.readToEnd(), request);
      await service.write(reply);
      service.finish();
      assert.deepEqual(await spipe.command.exit(), { status: 0, signal: null });
      assert.equal(digestOf(spipe.command.stdout), digestOf(reply));
      assert.equal(spipe.command.stderr, "");
    }

    if (flags.length > 0) return;
    const spipe = start();
    const service = await target.next();
    const [, , atService, atSpipe] = await Promise.all([
      spipe.writeRandomData("forward", bothWaysBytes).then(() => spipe.finish()),
      service.writeRandomData("reverse", bothWaysBytes).then(() => service.finish()),
      service.digestToEnd(),
      spipe.digestToEnd(),
    ]);
    const lengthBytes = bothWaysBytes;
    assert.deepEqual(atService, { digest: digestOfRandomData("forward", lengthBytes), lengthBytes, end: "fin" });
    assert.deepEqual(atSpipe, { digest: digestOfRandomData("reverse", lengthBytes), lengthBytes });
    assert.deepEqual(await spipe.command.exit(), { status: 0, signal: null });
  });

  if (flags.length > 0) return;

  test(`spipe ${pair.name} on ${kind} exits 1 when the server has another key`, limits, async (t) => {
    const target = await Listener.listen(t, kind);
    const serverKey = await newKey(t);
    const server = await startSpiped(t, {
      program: pair.server,
      end: "-d",
      source: kind,
      target: target.address,
      key: serverKey,
    });
    const spipe = Spipe.start(t, { program: pair.client, target: server.source, key: await newKey(t) });
    assert.deepEqual(await spipe.command.exit(), { status: 1, signal: null });
    assert.equal(spipe.command.stdout.length, 0);
    assert.match(spipe.command.stderr, /handshake/i);
  });

  test(`spipe ${pair.name} on ${kind} exits 1 when the connection is refused`, limits, async (t) => {
    const spipe = Spipe.start(t, { program: pair.client, target: await freeAddress(t, kind), key: await newKey(t) });
    assert.deepEqual(await spipe.command.exit(), { status: 1, signal: null });
    assert.match(spipe.command.stderr, /connect/i);
  });
}
