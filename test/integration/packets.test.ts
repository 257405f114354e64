// Wrong packets to either end: none reach the application, both sides are reset, and this is logged once.

import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { test } from "node:test";
import { limits } from "../support/cleanup.js";
import { expectAll } from "../support/expect.js";
import { allEnds, type Established, isAlive } from "../support/one-end.js";
import { packetBytes, packetDataBytes } from "../support/reference-protocol.js";
import { failuresTold, stopAndGetLines } from "../support/tunnel.js";

const data = Buffer.from("never to be seen");

/** What the peer sends after one correct packet. */
const faults: readonly (readonly [string, (ends: Established) => Uint8Array | Promise<Uint8Array>])[] = [
  ["has its first bit flipped", ({ peer }) => peer.seal(data, { flippedBit: 7 })],
  ["has a bit of its padding flipped", ({ peer }) => peer.seal(data, { flippedBit: 8 * 1000 })],
  ["has a bit of its length flipped", ({ peer }) => peer.seal(data, { flippedBit: 8 * packetDataBytes })],
  [
    "has the first bit of its MAC flipped",
    ({ peer }) => peer.seal(data, { flippedBit: 8 * (packetDataBytes + 4) + 7 }),
  ],
  ["has the last bit of its MAC flipped", ({ peer }) => peer.seal(data, { flippedBit: 8 * packetBytes - 8 })],
  ["states the length 0", ({ peer }) => peer.seal(data, { statedLength: 0 })],
  ["states the length 1,025", ({ peer }) => peer.seal(data, { statedLength: packetDataBytes + 1 })],
  ["states the length 2^31", ({ peer }) => peer.seal(data, { statedLength: 2 ** 31 })],
  ["states the length 2^32 - 1", ({ peer }) => peer.seal(data, { statedLength: 2 ** 32 - 1 })],
  ["is a replay of the one before", ({ peer }) => peer.seal(Buffer.from("first"), { packetNumber: 0n })],
  ["comes before the one that it follows", ({ peer }) => peer.seal(data, { packetNumber: 2n })],
  ["has the last packet number of all", ({ peer }) => peer.seal(data, { packetNumber: 2n ** 64n - 1n })],
  ["is rubbish", () => randomBytes(packetBytes)],
  ["is all zeros", () => new Uint8Array(packetBytes)],
  [
    "is one of the end's own packets, sent back",
    async ({ peer, plain }) => {
      await plain.write("an answer");
      return peer.link.read(packetBytes);
    },
  ],
  [
    "is followed by a correct one",
    ({ peer }) => Buffer.concat([peer.seal(data, { flippedBit: 0 }), peer.seal(data), peer.seal(data)]),
  ],
];

for (const { name, kind, start } of allEnds) {
  test(`${name} resets both sides of a connection whose second packet is wrong`, limits, async (t) => {
    const end = await start(t);
    const bystander = await end.establish();

    for (const [index, [what, fault]] of faults.entries()) {
      await t.test(`a packet that ${what}`, async () => {
        const { peer, plain } = await end.establish();
        await peer.send(Buffer.from("first"));
        assert.equal(Buffer.from(await plain.read(5)).toString(), "first");

        await peer.write(await fault({ peer, plain }));
        assert.equal(await plain.endWhileOpen(), "reset");
        assert.equal(plain.waitingBytes, 0);
        assert.equal(await peer.link.endWhileOpen(), "reset");
        assert.equal(peer.link.waitingBytes, 0);
        // Ten of each kind are logged.
        await end.spiped.command.line(/packet/i, Math.min(index + 1, 10));
        assert.ok(await isAlive(bystander));
      });
    }

    const last = await end.establish();
    assert.ok(await isAlive(last));
    end.spiped.command.signal("SIGINT");
    assert.equal((await end.spiped.command.exit()).status, 1);
    assert.equal(failuresTold(end.spiped, /packet/i), faults.length);
  });

  test(`${name} resets both sides for a wrong packet even when the other direction has ended`, limits, async (t) => {
    const end = await start(t);
    const { peer, plain } = await end.establish();
    plain.finish();
    expectAll(await peer.receiveToEnd(), "");
    await peer.write(peer.seal(data, { flippedBit: 0 }));
    // It has sent its end, so here the close of a UNIX socket looks like an orderly end.
    assert.equal(await plain.end(), kind === "tcp" ? "reset" : "fin");
    await peer.link.untilWritesFail();
    assert.equal((await stopAndGetLines(end.spiped)).length, 1);
  });
}
