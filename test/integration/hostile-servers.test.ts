// Hostile servers for spiped -e: the application is reset, and neither side receives data of the other.

import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { test } from "node:test";
import { limits } from "../support/cleanup.js";
import { type ClientEnd, isAlive, startClientEnd } from "../support/one-end.js";
import {
  handshakeEnded,
  noForwardSecrecy,
  outOfRange,
  reasonsOf,
  resetBy,
  saidNothing,
  tookTooLong,
  untilReason,
  wrongMac,
} from "../support/reasons.js";
import type { PublicValueFault, ReferencePeer } from "../support/reference-peer.js";
import { handshakeBytes, macedPublicValueBytes, nonceBytes, p } from "../support/reference-protocol.js";
import { patience, stopAndGetLines } from "../support/tunnel.js";

/** What a server does to a client that has connected. */
type Server = (peer: ReferencePeer) => Promise<void>;

function sends(...pieces: readonly Uint8Array[]): Server {
  return async (peer) => {
    for (const piece of pieces) await peer.link.write(piece);
  };
}

function sendsPublicValue(fault: PublicValueFault): Server {
  return async (peer) => {
    await peer.sendNonce();
    await peer.readNonce();
    await peer.write(peer.macedPublicValue(fault));
  };
}

/** The client's message for each; a function gets the kind of socket. */
const hostile: Readonly<Record<string, readonly [Server, string | ((kind: "tcp" | "unix") => string)]>> = {
  "closes when it has the client's nonce": [
    async (peer) => {
      await peer.readNonce();
      peer.link.close();
    },
    handshakeEnded(0, "-e"),
  ],
  "resets when it has the client's nonce": [
    async (peer) => {
      await peer.readNonce();
      peer.link.reset();
    },
    (kind) => (kind === "tcp" ? resetBy("target") + saidNothing : handshakeEnded(0, "-e")),
  ],
  "sends rubbish": [sends(randomBytes(handshakeBytes)), wrongMac],
  "sends a megabyte of rubbish": [sends(randomBytes(1 << 20)), wrongMac],
  "sends its nonce and ends": [
    async (peer) => {
      await peer.sendNonce();
      peer.link.finish();
    },
    handshakeEnded(nonceBytes, "-e"),
  ],
  "reads the whole handshake and then closes": [
    async (peer) => {
      await peer.sendNonce();
      await peer.readNonce();
      await peer.readPublicValue();
      peer.link.close();
    },
    handshakeEnded(nonceBytes, "-e"),
  ],
  "has one bit of its MAC wrong": [sendsPublicValue({ macIsWrong: true }), wrongMac],
  "sends y = p under a right MAC": [sendsPublicValue({ y: p }), outOfRange],
  "sends y = 2^2048 - 1 under a right MAC": [sendsPublicValue({ y: 2n ** 2048n - 1n }), outOfRange],
  "sends back what the client sent": [
    async (peer) => {
      await peer.link.write(await peer.link.read(nonceBytes));
      await peer.link.write(await peer.link.read(macedPublicValueBytes));
    },
    "handshake failed: the peer is a client too: another client with the same key, or this end itself",
  ],
};

const timedOut = tookTooLong(0.5);

const slow: readonly (readonly [reason: string, Server])[] = [
  [timedOut + saidNothing, sends()],
  [timedOut, sends(new Uint8Array(nonceBytes / 2))],
  [timedOut, sends(new Uint8Array(nonceBytes))],
  // Half of the public value.
  [timedOut, sends(new Uint8Array(nonceBytes), new Uint8Array(macedPublicValueBytes / 2))],
];

const secret = "not for strangers";

/** Runs `server` on a connection on which the application has already sent data. */
async function meets(end: ClientEnd, server: Server): Promise<void> {
  const { app, peer } = await end.server();
  await app.write(secret);
  await server(peer);
  assert.equal(await app.endWhileOpen(), "reset");
  assert.equal(app.waitingBytes, 0);
  await peer.link.end();
  assert.ok(peer.link.waitingBytes <= handshakeBytes);
}

for (const kind of ["tcp", "unix"] as const) {
  test(
    `spiped -e on ${kind} resets the application of a hostile server, logs each, and continues`,
    limits,
    async (t) => {
      const end = await startClientEnd(t, { kind });
      // A server that closes at once, whether the client is connecting, sending its nonce, or reading.
      const { app, peer } = await end.server();
      peer.link.close();
      assert.equal(await app.endWhileOpen(), "reset");
      const rest = new RegExp(
        "^connect failed: .*: connection reset by peer$|^handshake failed: the peer closed the connection after 0 of 320|" +
          "^reset: target: (connection reset by peer|broken pipe); the peer sent nothing ",
      );
      assert.match(await untilReason(end.spiped.command), rest);
      const friend = await end.establish();
      for (const [index, [what, [server, reason]]] of Object.entries(hostile).entries()) {
        await t.test(`a server that ${what}`, async () => {
          await meets(end, server);
          const expected = typeof reason === "string" ? reason : reason(kind);
          assert.equal(await untilReason(end.spiped.command, index + 2), expected);
          assert.ok(await isAlive(friend));
        });
      }

      friend.peer.link.finish();
      friend.plain.finish();
      await friend.plain.end();
      await friend.peer.link.end();
      assert.equal((await stopAndGetLines(end.spiped)).length, 1 + Object.keys(hostile).length);
    },
  );

  test(`spiped -e on ${kind} resets the applications of silent servers after -o`, limits, async (t) => {
    const end = await startClientEnd(t, { kind, flags: ["-o", "0.5"] });
    for (const [, server] of slow) await meets(end, server);
    await stopAndGetLines(end.spiped);
    assert.deepEqual(
      reasonsOf(end.spiped),
      slow.map(([reason]) => reason),
    );
  });

  for (const [what, y] of [
    ["0", 0n],
    ["1", 1n],
    ["p - 1", p - 1n],
  ] as const) {
    test(`spiped -e -g on ${kind} refuses a server whose y is ${what}`, limits, async (t) => {
      const end = await startClientEnd(t, { kind, flags: ["-g", ...patience] });
      await meets(end, sendsPublicValue({ y }));
      assert.equal(await untilReason(end.spiped.command), noForwardSecrecy);
      assert.ok(await isAlive(await end.establish()));
    });

    test(`spiped -e on ${kind} accepts a server whose y is ${what}`, limits, async (t) => {
      const end = await startClientEnd(t, { kind });
      const { app, peer } = await end.server();
      await peer.sendNonce();
      await peer.readNonce();
      await peer.readPublicValue();
      await peer.write(peer.macedPublicValue({ y }));
      await app.write("hello");
      assert.equal(await peer.receiveUnderOneOf(y === p - 1n ? [1n, p - 1n] : [y], 5), "hello");
      assert.ok(await isAlive({ peer, plain: app }));
    });
  }
}

test("spiped -e closes a server connection whose application was reset during the handshake", limits, async (t) => {
  const end = await startClientEnd(t, { kind: "tcp" });
  const { app, peer } = await end.server();
  await peer.sendNonce();
  await peer.readNonce();
  app.reset();
  await peer.readPublicValue();
  await peer.write(peer.macedPublicValue());
  assert.equal(await peer.link.endWhileOpen(), "reset");
  assert.equal(await untilReason(end.spiped.command), resetBy("source"));
  assert.ok(await isAlive(await end.establish()));
});
