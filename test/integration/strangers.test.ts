// Unauthenticated clients of spiped -d: each is logged once and closed, the target is never dialed, others are served.

import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { test } from "node:test";
import { limits } from "../support/cleanup.js";
import { isAlive, type ServerEnd, startServerEnd } from "../support/one-end.js";
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
import { type PublicValueFault, ReferencePeer } from "../support/reference-peer.js";
import { handshakeBytes, macedPublicValueBytes, nonceBytes, p } from "../support/reference-protocol.js";
import { failuresTold, patience, stopAndGetLines } from "../support/tunnel.js";

/** Breaks the protocol with the server. @returns The stranger's end of the connection. */
type Stranger = (end: ServerEnd) => Promise<ReferencePeer>;

function sends(...pieces: readonly (Uint8Array | string)[]): Stranger {
  return async (end) => {
    const peer = await end.client();
    for (const piece of pieces) await peer.link.write(piece);
    return peer;
  };
}

function sendsPublicValue(fault: PublicValueFault): Stranger {
  return async (end) => {
    const peer = await end.client();
    await peer.sendNonce();
    await peer.readNonce();
    await peer.write(peer.macedPublicValue(fault));
    return peer;
  };
}

async function leavesAnothersHandshake(end: ServerEnd): Promise<Uint8Array> {
  const recorded = await end.client();
  await recorded.sendNonce();
  await recorded.readNonce();
  const macedPublicValue = recorded.macedPublicValue();
  recorded.link.finish();
  await recorded.link.closed();
  return macedPublicValue;
}

const speaksHttp = 'the peer is not spiped: it speaks HTTP ("GET / HTTP/1.1")';

/** These fail because of the data they send; with the server's messages. */
const rude: Readonly<Record<string, readonly [Stranger, ...reasons: string[]]>> = {
  "sends garbage": [sends(randomBytes(handshakeBytes)), wrongMac],
  "sends zeros": [sends(new Uint8Array(handshakeBytes)), wrongMac],
  "sends a megabyte of garbage": [sends(randomBytes(1 << 20)), wrongMac],
  "sends a long HTTP request": [
    sends(`GET / HTTP/1.1\r\nHost: a\r\nCookie: ${"x".repeat(400)}\r\n\r\n`),
    `handshake failed: ${speaksHttp}`,
  ],
  "sends a nonce and closes": [
    async (end) => {
      const peer = await sends(new Uint8Array(nonceBytes))(end);
      peer.link.finish();
      return peer;
    },
    handshakeEnded(nonceBytes, "-d"),
  ],
  "closes without sending anything": [
    async (end) => {
      const peer = await end.client();
      peer.link.finish();
      return peer;
    },
    handshakeEnded(0, "-d"),
  ],
  "has another key": [
    async (end) => {
      const peer = ReferencePeer.client(await end.dial(), { keyFile: randomBytes(32) });
      await peer.sendNonce();
      await peer.readNonce();
      await peer.write(peer.macedPublicValue());
      return peer;
    },
    wrongMac,
  ],
  "replays the handshake of another connection": [
    async (end) => sends(new Uint8Array(nonceBytes), await leavesAnothersHandshake(end))(end),
    handshakeEnded(nonceBytes, "-d"),
    wrongMac,
  ],
  "sends a MAC with one wrong bit": [sendsPublicValue({ macIsWrong: true }), wrongMac],
  "sends y = p with a correct MAC": [sendsPublicValue({ y: p }), outOfRange],
  "sends y = p + 1 with a correct MAC": [sendsPublicValue({ y: p + 1n }), outOfRange],
  "sends y = 2^2048 - 1 with a correct MAC": [sendsPublicValue({ y: 2n ** 2048n - 1n }), outOfRange],
};

const timedOut = tookTooLong(0.5);

/** These fail because of the timeout. */
const slow: readonly (readonly [reason: string, Stranger])[] = [
  [timedOut + saidNothing, sends()],
  [timedOut, sends(new Uint8Array(nonceBytes / 2))],
  [
    `${timedOut}; the peer is waiting too, as a server does (32 of 320 handshake bytes)`,
    sends(new Uint8Array(nonceBytes)),
  ],
  [`${timedOut}; ${speaksHttp}`, sends("GET / HTTP/1.1\r\nHost: a\r\n\r\n")],
  // Half of the public value, and all of it but one byte.
  [timedOut, sends(new Uint8Array(nonceBytes), new Uint8Array(macedPublicValueBytes / 2))],
  [timedOut, sends(new Uint8Array(nonceBytes), new Uint8Array(macedPublicValueBytes - 1))],
];

/** The connection is closed, and the server has sent nothing but its nonce. */
async function isRejected({ link }: ReferencePeer): Promise<void> {
  // A reset only if the server discards data sent after the handshake, and then not always: a reset that arrives together
  // with the nonce looks like an orderly end.
  const end = await link.end();
  assert.ok(end === "fin" || link.socket.bytesWritten > handshakeBytes, end);
  assert.ok(link.waitingBytes <= nonceBytes);
}

test(
  "spiped -d survives clients that disconnect right after the handshake, and resets their target connections",
  limits,
  async (t) => {
    const end = await startServerEnd(t, { kind: "tcp" });
    const friend = await end.establish();
    const dialed: Promise<unknown>[] = [];
    end.target.onConnection((service) => dialed.push(service.end()));
    const count = 50;
    for (let index = 0; index < count; index += 1) (await sendsPublicValue({})(end)).link.reset();
    // Ten failures of each kind are logged; the kind depends on how far the server has got.
    await untilReason(end.spiped.command, 10);
    await Promise.all(dialed);
    assert.ok(await isAlive(friend));
    friend.peer.link.finish();
    friend.plain.finish();
    await stopAndGetLines(end.spiped);
    assert.equal(failuresTold(end.spiped, /: reset: /), count);
    assert.deepEqual(new Set(reasonsOf(end.spiped)), new Set([resetBy("source")]));
  },
);

for (const kind of ["tcp", "unix"] as const) {
  test(
    `spiped -d on ${kind} closes and logs unauthenticated clients, and never dials the target for them`,
    limits,
    async (t) => {
      const end = await startServerEnd(t, { kind });
      const friend = await end.establish();
      const told: string[] = [];
      for (const [what, [stranger, ...reasons]] of Object.entries(rude)) {
        await t.test(`a client that ${what}`, async () => {
          const peer = await stranger(end);
          await isRejected(peer);
          told.push(...reasons);
          await untilReason(end.spiped.command, told.length);
          assert.deepEqual(reasonsOf(end.spiped), told);
          assert.ok(await isAlive(friend));
          assert.equal(end.target.acceptedCount, 1);
        });
      }

      friend.peer.link.finish();
      friend.plain.finish();
      assert.ok(await isAlive(await end.establish()));
      assert.equal(end.target.acceptedCount, 2);
      assert.deepEqual(reasonsOf(end.spiped), told);
    },
  );

  test(`spiped -d on ${kind} closes silent clients after -o`, limits, async (t) => {
    const end = await startServerEnd(t, { kind, flags: ["-o", "0.5"] });
    const peers = await Promise.all(slow.map(([, stranger]) => stranger(end)));
    await Promise.all(peers.map(isRejected));
    assert.equal(end.target.acceptedCount, 0);
    await stopAndGetLines(end.spiped);
    assert.deepEqual([...reasonsOf(end.spiped)].sort(), slow.map(([reason]) => reason).sort());
  });

  test(`spiped -d on ${kind} serves a client while silent ones take all but one of -n's slots`, limits, async (t) => {
    const end = await startServerEnd(t, { kind, flags: ["-n", "20", ...patience] });
    const silent = await Promise.all(Array.from({ length: 19 }, () => end.client()));
    assert.ok(await isAlive(await end.establish()));
    // Closing a UNIX socket with unread data is a reset for the peer; without, an orderly end.
    for (const peer of silent) await peer.readNonce();
    for (const peer of silent) peer.link.reset();
    await untilReason(end.spiped.command, 10);
    const reason = kind === "unix" ? handshakeEnded(0, "-d") : resetBy("source") + saidNothing;
    assert.deepEqual(new Set(reasonsOf(end.spiped)), new Set([reason]));
  });

  for (const [what, y] of [
    ["0", 0n],
    ["1", 1n],
    ["p - 1", p - 1n],
  ] as const) {
    test(`spiped -d -g on ${kind} refuses a client whose y is ${what}, and does not dial`, limits, async (t) => {
      const end = await startServerEnd(t, { kind, flags: ["-g", ...patience] });
      await isRejected(await sendsPublicValue({ y })(end));
      assert.equal(await untilReason(end.spiped.command), noForwardSecrecy);
      assert.ok(await isAlive(await end.establish()));
      assert.equal(end.target.acceptedCount, 1);
      end.target.close();
    });

    test(`spiped -d on ${kind} accepts a client whose y is ${what}`, limits, async (t) => {
      const end = await startServerEnd(t, { kind });
      const peer = await sendsPublicValue({ y })(end);
      await peer.readPublicValue();
      const service = await end.target.next();
      // The shared value for this y: 0, 1, and for p - 1 either 1 or p - 1, which only the packets reveal.
      const candidates = y === p - 1n ? [1n, p - 1n] : [y];
      await service.write("hello");
      assert.equal(await peer.receiveUnderOneOf(candidates, 5), "hello");
      assert.ok(await isAlive({ peer, plain: service }));
    });
  }
}
