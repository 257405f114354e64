// How a connection uses its keys and its target before data can flow: which key a client is identified by, what happens
// when that key is removed, what the target is asked for, and a connection that ends while dialing.

import assert from "node:assert/strict";
import { type TestContext, test } from "node:test";
import { Cancellation } from "#dist/net/cancellation.js";
import type { Channel } from "#dist/net/channel.js";
import { DescriptorBudget } from "#dist/net/descriptors.js";
import { dial } from "#dist/net/dial.js";
import { HANDSHAKE_BYTES } from "#dist/protocol/constants.js";
import { KeyRing } from "#dist/protocol/key-ring.js";
import { cleartextMemory, packetMemory } from "#dist/tunnel/memory.js";
import type { OpenOptions, Target } from "#dist/tunnel/target.js";
import { limits } from "../../support/cleanup.js";
import { Listener } from "../../support/listener.js";
import { ReferencePeer } from "../../support/reference-peer.js";
import { keyFile, RecordingChannel, runConnection, socketAddressOf, timeoutMs } from "../support/connections.js";
import { peerOptions } from "../support/established.js";
import { sharedKeyOf } from "../support/handshakes.js";
import { eventLoopTurns } from "../support/sink.js";

const roles = ["encrypt", "decrypt"] as const;

/** A ring in which the client's key is bob's, and not the first. */
function ringWithBob(): KeyRing {
  return new KeyRing([
    { name: "alice", key: sharedKeyOf(Buffer.from("another key")) },
    { name: "bob", key: sharedKeyOf(keyFile) },
  ]);
}

/** Removes bob's key. */
function removeBob(ring: KeyRing): void {
  ring.update([{ name: "alice", key: sharedKeyOf(Buffer.from("another key")) }]);
}

/** A target that records requests, and dials when told to. */
function recordingTarget(listener: Listener) {
  const requests: OpenOptions[] = [];
  const channels: RecordingChannel[] = [];
  let letDial: () => void = () => undefined;
  const mayDial = new Promise<void>((resolve) => {
    letDial = resolve;
  });
  const target: Target = {
    open: async (request): Promise<Channel> => {
      requests.push(request);
      await mayDial;
      // Cannot be cancelled, like a dial that has just been answered.
      const signal = new Cancellation();
      const { readBuffer, exactLength, resetOnDeath = false } = request;
      const channel = new RecordingChannel(
        await dial({
          readBuffer,
          exactLength,
          resetOnDeath,
          signal,
          addresses: [socketAddressOf(listener.address)],
          name: "target.example:80",
          bind: undefined,
          timeoutMs,
          keepAlive: true,
          descriptors: new DescriptorBudget(Number.POSITIVE_INFINITY),
        }),
      );
      channels.push(channel);
      return channel;
    },
  };
  return { target, requests, channels, letDial };
}

async function clientOfRing(t: TestContext, ring: KeyRing) {
  const listener = await Listener.listen(t, "tcp");
  const running = await runConnection(t, "decrypt", [socketAddressOf(listener.address)], { keys: () => ring.offer });
  return { ...running, listener, peer: ReferencePeer.client(running.dialer, peerOptions()) };
}

test("decrypt: identifies a client by the name of its key, also in the report", limits, async (t) => {
  const { connection, peer, report } = await clientOfRing(t, ringWithBob());
  assert.equal(connection.keyName, undefined);
  await peer.handshake();
  assert.equal(connection.keyName, "bob");
  connection.cancel();
  assert.equal((await report()).keyName, "bob");
});

test("decrypt: ends a connection when its key is removed, and at no other reload", limits, async (t) => {
  const ring = ringWithBob();
  const { connection, peer, report } = await clientOfRing(t, ring);
  assert.equal(connection.endIfKeyRemoved(), false, "nobody knows its key yet");
  await peer.handshake();
  assert.equal(connection.endIfKeyRemoved(), false);
  removeBob(ring);
  assert.equal(connection.endIfKeyRemoved(), true);
  const { reason, error } = await report();
  assert.deepEqual([reason, error?.message], ["cancelled", "the key bob was removed"]);
  assert.equal(await peer.link.end(), "reset");
});

test("decrypt: a key removed during the handshake no longer admits its client", limits, async (t) => {
  const ring = ringWithBob();
  const { listener, peer, report } = await clientOfRing(t, ring);
  await peer.sendNonce();
  await peer.readNonce();
  removeBob(ring);
  await peer.write(peer.macedPublicValue());
  const { reason, phase, error } = await report();
  assert.deepEqual([reason, phase, error?.message], ["cancelled", "handshaking", "the key bob was removed"]);
  assert.equal(listener.acceptedCount, 0);
});

test("encrypt: without a key the connection fails, and the application is reset", limits, async (t) => {
  const listener = await Listener.listen(t, "tcp");
  const targets = [socketAddressOf(listener.address)];
  const keys = () => ({ keys: sharedKeyOf(keyFile), entries: [] });
  const { source, report } = await runConnection(t, "encrypt", targets, { keys });
  const { reason, error } = await report();
  assert.deepEqual([reason, error?.code], ["failed", "SPIPED_STEP"]);
  assert.deepEqual(source.calls, ["reset"]);
});

test("encrypt: a failed handshake closes the target and resets the application", limits, async (t) => {
  const listener = await Listener.listen(t, "tcp");
  const { target, channels, letDial } = recordingTarget(listener);
  const { source, report } = await runConnection(t, "encrypt", [], { target });
  letDial();
  const server = await listener.next();
  server.finish();
  assert.equal((await report()).reason, "handshake-failed");
  assert.deepEqual([source.calls, channels[0]?.calls], [["reset"], ["close"]]);
});

for (const role of roles) {
  test(`${role}: asks the target for what its side of the connection needs`, limits, async (t) => {
    const listener = await Listener.listen(t, "tcp");
    const { target, requests, channels, letDial } = recordingTarget(listener);
    const { dialer, source } = await runConnection(t, role, [], { target });
    letDial();
    if (role === "encrypt") await ReferencePeer.server(await listener.next(), peerOptions()).handshake();
    else await ReferencePeer.client(dialer, peerOptions()).handshake();
    await eventLoopTurns();
    const [{ readBuffer, exactLength, resetOnDeath } = assert.fail("nothing was asked")] = requests;
    const expected =
      role === "encrypt" ? [packetMemory.readBuffer, HANDSHAKE_BYTES, false] : [cleartextMemory.readBuffer, 0, true];
    assert.deepEqual([readBuffer, exactLength, resetOnDeath], expected);
    // Once the peer may know the key, the death of this process must not look like the end of the stream.
    assert.deepEqual(source.deaths, ["reset"]);
    assert.deepEqual(channels[0]?.deaths, role === "encrypt" ? ["reset"] : []);
  });

  test(`${role}: cancelled while the target answers, resets the target and sends nothing`, limits, async (t) => {
    const listener = await Listener.listen(t, "tcp");
    const { target, requests, channels, letDial } = recordingTarget(listener);
    const { connection, dialer, reports, report } = await runConnection(t, role, [], { target });
    if (role === "decrypt") await ReferencePeer.client(dialer, peerOptions()).handshake();
    while (requests.length === 0) await eventLoopTurns();
    connection.cancel();
    assert.equal((await report()).reason, "cancelled");
    letDial();
    const service = await listener.next();
    assert.equal(await service.end(), "reset");
    assert.equal(service.waitingBytes, 0);
    assert.deepEqual(channels[0]?.calls, ["reset"]);
    assert.equal(reports.length, 1);
  });
}
