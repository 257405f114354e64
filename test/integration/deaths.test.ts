// A process that dies is not an orderly end: the receiver sees a reset, whatever the connection was doing.

import assert from "node:assert/strict";
import { test } from "node:test";
import { limits } from "../support/cleanup.js";
import type { Command } from "../support/command.js";
import { deafAddress } from "../support/deaf-listener.js";
import { Listener } from "../support/listener.js";
import { type Established, startClientEnd, startServerEnd } from "../support/one-end.js";
import { ours } from "../support/programs.js";
import { ReferencePeer } from "../support/reference-peer.js";
import { Spipe } from "../support/spipe.js";
import { TestSocket } from "../support/test-socket.js";
import { newKey, patience, startSpiped, startTunnel } from "../support/tunnel.js";

// If the descriptor's number is unknown, there is nothing to set.
const options = { ...limits, skip: process.platform === "win32" ? "needs descriptors" : false };

const muchBytes = 64 * 1_024 * 1_024;

async function kill(command: Command): Promise<void> {
  command.signal("SIGKILL");
  assert.equal((await command.exit()).signal, "SIGKILL");
}

/** What a connection is doing when the process dies. */
const moments: Readonly<Record<string, (ends: Established) => Promise<unknown>>> = {
  "that is idle": async ({ peer, plain }) => {
    await plain.write("hello");
    await peer.receive(5);
    await peer.send(Buffer.from("hello"));
    await plain.read(5);
  },
  "in the middle of data": async ({ peer, plain }) => {
    plain.writeRandomData("to the peer", muchBytes).catch(() => undefined);
    peer.send(Buffer.alloc(1_000_000)).catch(() => undefined);
    await peer.receive(100_000);
    await plain.read(100_000);
  },
  "that nobody reads from": async ({ peer, plain }) => {
    plain.socket.pause();
    peer.link.socket.pause();
    plain.writeRandomData("to the peer", muchBytes).catch(() => undefined);
    await peer.send(Buffer.alloc(1_000));
  },
};

for (const [end, start] of [
  ["-d", startServerEnd],
  ["-e", startClientEnd],
] as const) {
  for (const kind of ["tcp", "tcp6"] as const) {
    for (const [moment, enter] of Object.entries(moments)) {
      test(
        `a spiped ${end} that is killed resets both sides of a connection on ${kind} ${moment}`,
        options,
        async (t) => {
          const one = await start(t, { kind, flags: ["-f", ...patience] });
          const ends = await one.establish({ x: 0n });
          await enter(ends);
          await kill(one.spiped.command);
          for (const socket of [ends.plain, ends.peer.link]) {
            socket.socket.resume();
            assert.equal(await socket.endWhileOpen(), "reset");
          }
        },
      );
    }
  }

  test(`a spiped ${end} that is killed resets a side that has ended first and still receives`, options, async (t) => {
    const one = await start(t, { kind: "tcp", flags: ["-f", ...patience] });
    for (const first of ["plain", "peer"] as const) {
      const fresh = first === "plain" ? one : await start(t, { kind: "tcp", flags: ["-f", ...patience] });
      const { plain, peer } = await fresh.establish({ x: 0n });
      const [waiting, other] = first === "plain" ? [plain, peer.link] : [peer.link, plain];
      waiting.finish();
      if (first === "plain") {
        assert.equal((await peer.receiveToEnd()).end, "fin");
        await peer.send(Buffer.from("the first half"));
      } else {
        assert.equal((await plain.readToEnd()).end, "fin");
        await plain.write("the first half");
      }
      await waiting.read(1);
      await kill(fresh.spiped.command);
      assert.equal(await waiting.end(), "reset");
      // It has received the end in order; only its next write shows that the reader is gone.
      await other.untilWritesFail();
    }
  });
}

test("a spiped -e that is killed right after its handshake resets both sides", options, async (t) => {
  const end = await startClientEnd(t, { kind: "tcp", flags: ["-f", ...patience] });
  const { peer, plain } = await end.establish({ x: 0n });
  await kill(end.spiped.command);
  assert.equal(await plain.endWhileOpen(), "reset");
  assert.equal(await peer.link.endWhileOpen(), "reset");
});

test("a spiped -e that is killed while dialing or during the handshake resets the application", options, async (t) => {
  const key = await newKey(t);
  const deaf = await deafAddress(t);
  const mute = await Listener.listen(t, "tcp");
  for (const target of [deaf, mute.address]) {
    const spiped = await startSpiped(t, { end: "-e", source: "tcp", target, key, flags: patience });
    const app = await TestSocket.connect(t, spiped.source);
    const isAccepted = target === deaf ? app.write("hello") : mute.next().then((peer) => peer.read(32));
    await isAccepted;
    // The second client is accepted after the first.
    const second = await TestSocket.connect(t, spiped.source);
    await kill(spiped.command);
    assert.equal(await app.endWhileOpen(), "reset");
    assert.equal(await second.endWhileOpen(), "reset");
  }
});

test("a spiped -d that is killed while it dials resets the client, and closes strangers", options, async (t) => {
  const key = await newKey(t);
  const target = await deafAddress(t);
  const spiped = await startSpiped(t, { end: "-d", source: "tcp", target, key, flags: patience });
  const friend = ReferencePeer.client(await TestSocket.connect(t, spiped.source), { keyFile: key.bytes });
  await friend.handshake();
  const stranger = await TestSocket.connect(t, spiped.source);
  await stranger.read(32);
  await kill(spiped.command);
  assert.equal(await friend.link.endWhileOpen(), "reset");
  assert.equal(await stranger.end(), "fin");
});

test("killing spipe resets its connection, before or after the end of its input", options, async (t) => {
  const key = await newKey(t);
  const target = await Listener.listen(t, "tcp");
  const server = await startSpiped(t, { end: "-d", source: "tcp", target: target.address, key, flags: patience });
  const spipe = Spipe.start(t, { program: ours, target: server.source, key });
  const service = await target.next();
  await spipe.write("the first half");
  await service.read("the first half".length);
  await kill(spipe.command);
  assert.equal(await service.endWhileOpen(), "reset");
  await server.command.line(/: reset: source /);
});

for (const which of ["client", "server"] as const) {
  test(`killing the ${which} end of our tunnel during a transfer resets both programs`, options, async (t) => {
    const tunnel = await startTunnel(t);
    const { app, service } = await tunnel.connectThrough();
    for (const [from, to] of [
      [app, service],
      [service, app],
    ] as const) {
      from.writeRandomData("data", muchBytes).catch(() => undefined);
      await to.read(100_000);
    }
    await kill(tunnel[which].command);
    assert.equal(await service.endWhileOpen(), "reset");
    assert.equal(await app.endWhileOpen(), "reset");
  });
}

test("all input of spipe arrives, even if the program writing it exits at once", options, async (t) => {
  const key = await newKey(t);
  const target = await Listener.listen(t, "tcp");
  const server = await startSpiped(t, { end: "-d", source: "tcp", target: target.address, key, flags: patience });
  target.onConnection((service) => service.finish());
  for (let round = 1; round <= 10; round += 1) {
    const spipe = Spipe.start(t, { program: ours, target: server.source, key });
    await spipe.writeRandomData("all of it", 1_000_000);
    spipe.finish();
    assert.deepEqual(await spipe.command.exit(), { status: 0, signal: null });
  }
  assert.deepEqual(server.command.lines.slice(1), []);
});
