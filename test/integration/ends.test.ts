// How a connection's end shows on both sides of either end: a FIN if all went well, and never otherwise.

import assert from "node:assert/strict";
import { test } from "node:test";
import { limits } from "../support/cleanup.js";
import { expectAll } from "../support/expect.js";
import { allEnds, type Established, isAlive } from "../support/one-end.js";
import { digestOf, digestOfRandomData, RandomData } from "../support/random-data.js";
import { reasonsOf, resetBy, toldToEnd, untilReason } from "../support/reasons.js";
import { failuresTold, stopAndGetLines } from "../support/tunnel.js";

const muchBytes = 5_000_000;

/** Sends a lot, then ends at once. */
async function peerSendsMuchAndEnds({ peer }: Established): Promise<void> {
  for (const piece of new RandomData("much").pieces(muchBytes)) await peer.send(piece);
  peer.link.finish();
}

async function plainSendsMuchAndEnds({ plain }: Established): Promise<void> {
  await plain.writeRandomData("much", muchBytes);
  plain.finish();
}

for (const { name, end: role, kind, start } of allEnds) {
  const [encrypted, cleartext] = role === "-d" ? (["source", "target"] as const) : (["target", "source"] as const);
  // On a UNIX socket, only a writer notices the close.
  const words = kind === "unix" ? "broken pipe" : "connection reset by peer";

  test(`${name} passes each direction's end on after all data, in whatever order they end`, limits, async (t) => {
    const end = await start(t);

    await t.test("the cleartext side first", async () => {
      const ends = await end.establish();
      const [, received] = await Promise.all([plainSendsMuchAndEnds(ends), ends.peer.receiveToEnd()]);
      assert.equal(digestOf(received.bytes), digestOfRandomData("much", muchBytes));
      assert.equal(received.end, "fin");
      const [, back] = await Promise.all([peerSendsMuchAndEnds(ends), ends.plain.digestToEnd()]);
      assert.deepEqual(back, { digest: digestOfRandomData("much", muchBytes), lengthBytes: muchBytes, end: "fin" });
      await ends.peer.link.closed();
    });

    await t.test("the encrypted side first", async () => {
      const ends = await end.establish();
      const [, received] = await Promise.all([peerSendsMuchAndEnds(ends), ends.plain.digestToEnd()]);
      assert.deepEqual(received, { digest: digestOfRandomData("much", muchBytes), lengthBytes: muchBytes, end: "fin" });
      const [, back] = await Promise.all([plainSendsMuchAndEnds(ends), ends.peer.receiveToEnd()]);
      assert.equal(digestOf(back.bytes), digestOfRandomData("much", muchBytes));
      assert.equal(back.end, "fin");
      await ends.plain.closed();
    });

    await t.test("both at once, without a byte", async () => {
      const { peer, plain } = await end.establish();
      peer.link.finish();
      plain.finish();
      expectAll(await plain.readToEnd(), "");
      expectAll(await peer.receiveToEnd(), "");
    });

    assert.deepEqual(await stopAndGetLines(end.spiped), []);
  });

  test(`${name} resets the encrypted side when the cleartext side is reset`, limits, async (t) => {
    const end = await start(t);
    const ends = await end.establish();
    assert.ok(await isAlive(ends));
    ends.plain.reset();
    if (kind === "unix") {
      // The close of a UNIX socket shows as an end first, and as a close only to a writer.
      expectAll(await ends.peer.receiveToEnd(), "");
      await ends.peer.send(Buffer.from("is anybody there?"));
      await ends.peer.link.untilWritesFail();
    } else {
      assert.equal((await ends.peer.receiveToEnd()).end, "reset");
    }
    assert.equal(await untilReason(end.spiped.command), resetBy(cleartext, words));
    assert.ok(await isAlive(await end.establish()));
    assert.equal(reasonsOf(end.spiped).length, 1);
  });

  test(`${name} resets the cleartext side when the encrypted side is reset`, limits, async (t) => {
    const end = await start(t);
    const ends = await end.establish();
    assert.ok(await isAlive(ends));
    ends.peer.link.reset();
    if (kind === "unix") {
      expectAll(await ends.plain.readToEnd(), "");
      await ends.plain.untilWritesFail();
    } else {
      expectAll(await ends.plain.readToEnd(), "", "reset");
    }
    assert.equal(await untilReason(end.spiped.command), resetBy(encrypted, words));
    assert.ok(await isAlive(await end.establish()));
    assert.equal(reasonsOf(end.spiped).length, 1);
  });

  test(`${name} resets the other side when a reset comes with data still on the way`, limits, async (t) => {
    const end = await start(t);
    const ends = await end.establish();
    const sending = ends.plain.writeRandomData("much", 20_000_000);
    await ends.peer.receive(100_000);
    ends.peer.link.reset();
    await sending;
    await ends.plain.untilWritesFail();
    if (kind === "tcp") assert.equal(await ends.plain.end(), "reset");
    const reason = await untilReason(end.spiped.command);
    // Closing a UNIX socket with unread data is a reset for the peer; without, an orderly end.
    const isClosed = kind === "unix" && reason === resetBy(encrypted, "broken pipe");
    if (!isClosed) assert.equal(reason, resetBy(encrypted));
    assert.ok(await isAlive(await end.establish()));
    assert.equal(reasonsOf(end.spiped).length, 1);
  });

  if (kind === "tcp") {
    test(`${name} never takes a reset right after data for an end`, limits, async (t) => {
      const end = await start(t);
      for (let attempt = 1; attempt <= 20; attempt += 1) {
        const fromPlain = await end.establish();
        await fromPlain.plain.write("the last words");
        fromPlain.plain.reset();
        assert.equal(await fromPlain.peer.link.endWhileOpen(), "reset", `cleartext side, attempt ${attempt}`);

        const fromPeer = await end.establish();
        await fromPeer.peer.send(Buffer.from("the last words"));
        fromPeer.peer.link.reset();
        assert.equal(await fromPeer.plain.endWhileOpen(), "reset", `encrypted side, attempt ${attempt}`);
      }
      await stopAndGetLines(end.spiped);
      assert.equal(failuresTold(end.spiped), 40);
      const right = [resetBy(encrypted), resetBy(cleartext)];
      // The target resets before spiped has checked whether its connect succeeded.
      if (role === "-d") right.push("connect failed: connection reset by peer");
      for (const reason of reasonsOf(end.spiped)) {
        assert.ok(right.includes(reason.replace(/cannot connect to \S+: /, "")), reason);
      }
    });
  }

  test(`${name} resets both sides of its connections on SIGINT`, limits, async (t) => {
    const end = await start(t);
    const connections = [await end.establish(), await end.establish()];
    for (const connection of connections) assert.ok(await isAlive(connection));
    end.spiped.command.signal("SIGINT");
    for (const { peer, plain } of connections) {
      assert.equal(await plain.endWhileOpen(), "reset");
      assert.equal(await peer.link.endWhileOpen(), "reset");
    }
    assert.deepEqual(await end.spiped.command.exit(), { status: 1, signal: null });
    assert.deepEqual(reasonsOf(end.spiped), [toldToEnd, toldToEnd]);
  });

  test(`${name} slows down a fast sender when the receiver does not read`, limits, async (t) => {
    const tooMuchBytes = 128 * 1024 * 1024;
    const end = await start(t);
    const stuck = await end.establish();
    stuck.peer.link.socket.pause();
    const sending = stuck.plain.writeRandomData("stuck", tooMuchBytes);
    // Meanwhile another connection carries so much that an unbounded buffer would have taken everything.
    const free = await end.establish();
    await Promise.all([free.plain.writeRandomData("much", 20 * muchBytes), free.peer.link.read(20 * muchBytes)]);
    const takenBytes = stuck.plain.socket.bytesWritten - stuck.plain.socket.writableLength;
    assert.ok(takenBytes < tooMuchBytes / 2, `${takenBytes} bytes were taken`);
    stuck.plain.reset();
    await sending;
  });
}
