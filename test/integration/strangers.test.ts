// Strangers at spiped -d: each gives one line and one closed connection, the target never hears of them, the others go on.

import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { test } from "node:test";
import { limits } from "../support/cleanup.js";
import { isAlive, type ServerEnd, startServerEnd } from "../support/one-end.js";
import { type PublicValueFault, ReferencePeer } from "../support/reference-peer.js";
import { handshakeBytes, macedPublicValueBytes, nonceBytes, p } from "../support/reference-protocol.js";
import { connectionLines, patience, stopAndGetLines } from "../support/tunnel.js";

/** Does something to the server that no friend does. @returns The stranger's end of the connection. */
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

/** These are found out by what they send. */
const rude: Readonly<Record<string, Stranger>> = {
  "sends rubbish": sends(randomBytes(handshakeBytes)),
  "sends zeros": sends(new Uint8Array(handshakeBytes)),
  "sends a megabyte of rubbish": sends(randomBytes(1 << 20)),
  "sends a long HTTP request": sends(`GET / HTTP/1.1\r\nHost: a\r\nCookie: ${"x".repeat(400)}\r\n\r\n`),
  "sends a nonce and goes": async (end) => {
    const peer = await sends(new Uint8Array(nonceBytes))(end);
    peer.link.finish();
    return peer;
  },
  "goes without a word": async (end) => {
    const peer = await end.client();
    peer.link.finish();
    return peer;
  },
  "has another key": async (end) => {
    const peer = ReferencePeer.client(await end.dial(), { keyFile: randomBytes(32) });
    await peer.sendNonce();
    await peer.readNonce();
    await peer.write(peer.macedPublicValue());
    return peer;
  },
  "sends the handshake that another connection had": async (end) => {
    const recorded = await end.client();
    await recorded.sendNonce();
    await recorded.readNonce();
    const macedPublicValue = recorded.macedPublicValue();
    recorded.link.finish();
    return sends(new Uint8Array(nonceBytes), macedPublicValue)(end);
  },
  "has one bit of its MAC wrong": sendsPublicValue({ macIsWrong: true }),
  "sends y = p under a right MAC": sendsPublicValue({ y: p }),
  "sends y = p + 1 under a right MAC": sendsPublicValue({ y: p + 1n }),
  "sends y = 2^2048 - 1 under a right MAC": sendsPublicValue({ y: 2n ** 2048n - 1n }),
};

/** These are found out by the time that they take. */
const slow: Readonly<Record<string, Stranger>> = {
  "sends nothing": sends(),
  "sends half a nonce": sends(new Uint8Array(nonceBytes / 2)),
  "sends a nonce and nothing more": sends(new Uint8Array(nonceBytes)),
  "sends a short HTTP request": sends("GET / HTTP/1.1\r\nHost: a\r\n\r\n"),
  "stops in the middle of its public value": sends(
    new Uint8Array(nonceBytes),
    new Uint8Array(macedPublicValueBytes / 2),
  ),
  "stops one byte before the end of its public value": sends(
    new Uint8Array(nonceBytes),
    new Uint8Array(macedPublicValueBytes - 1),
  ),
};

/** The connection is closed, and nothing but the server's nonce has come over it. */
async function isShownTheDoor({ link }: ReferencePeer): Promise<void> {
  await link.end();
  assert.ok(link.waitingBytes <= nonceBytes);
}

test(
  "spiped -d outlives clients that are gone as soon as they are known, and resets what it dialled for them",
  limits,
  async (t) => {
    const end = await startServerEnd(t, { kind: "tcp" });
    const friend = await end.establish();
    const dialled: Promise<unknown>[] = [];
    end.target.onConnection((service) => dialled.push(service.end()));
    const count = 50;
    for (let index = 0; index < count; index += 1) (await sendsPublicValue({})(end)).link.reset();
    // Of each kind of failure ten are written out; what kind it is, depends on how far the server has come.
    await end.spiped.command.line(/connection from/, 10);
    await Promise.all(dialled);
    assert.ok(await isAlive(friend));
    assert.ok(connectionLines(end.spiped.command).length <= count);
  },
);

for (const kind of ["tcp", "unix"] as const) {
  test(
    `spiped -d on ${kind} closes strangers' connections with a line each, and the target never hears of them`,
    limits,
    async (t) => {
      const end = await startServerEnd(t, { kind });
      const friend = await end.establish();
      let lines = 0;
      for (const [what, stranger] of Object.entries(rude)) {
        await t.test(`a stranger who ${what}`, async () => {
          const peer = await stranger(end);
          await isShownTheDoor(peer);
          lines += what.startsWith("sends the handshake that another") ? 2 : 1;
          await end.spiped.command.line(/handshake/i, lines);
          assert.ok(await isAlive(friend));
          assert.equal(end.target.acceptedCount, 1);
        });
      }

      friend.peer.link.finish();
      friend.plain.finish();
      assert.ok(await isAlive(await end.establish()));
      assert.equal(end.target.acceptedCount, 2);
      assert.equal(connectionLines(end.spiped.command).length, lines);
    },
  );

  test(`spiped -d on ${kind} closes silent strangers' connections when -o is over`, limits, async (t) => {
    const end = await startServerEnd(t, { kind, flags: ["-o", "0.5"] });
    const strangers = Object.values(slow);
    const peers = await Promise.all(strangers.map((stranger) => stranger(end)));
    await Promise.all(peers.map(isShownTheDoor));
    assert.equal(end.target.acceptedCount, 0);
    const lines = await stopAndGetLines(end.spiped);
    assert.equal(lines.length, strangers.length);
    for (const line of lines) assert.match(line, /time|handshake/i);
  });

  test(`spiped -d on ${kind} is not slowed down or filled up by strangers below -n`, limits, async (t) => {
    const end = await startServerEnd(t, { kind, flags: ["-n", "20", ...patience] });
    const silent = await Promise.all(Array.from({ length: 19 }, () => end.client()));
    assert.ok(await isAlive(await end.establish()));
    for (const peer of silent) peer.link.reset();
    await end.spiped.command.line(/handshake|reset/i, 10);
  });

  for (const [what, y] of [
    ["0", 0n],
    ["1", 1n],
    ["p - 1", p - 1n],
  ] as const) {
    test(`spiped -d -g on ${kind} refuses a client whose y is ${what}, and dials nobody`, limits, async (t) => {
      const end = await startServerEnd(t, { kind, flags: ["-g", ...patience] });
      await isShownTheDoor(await sendsPublicValue({ y })(end));
      await end.spiped.command.line(/handshake|secrecy/i);
      assert.ok(await isAlive(await end.establish()));
      assert.equal(end.target.acceptedCount, 1);
      end.target.close();
    });

    test(`spiped -d on ${kind} takes a client whose y is ${what}`, limits, async (t) => {
      const end = await startServerEnd(t, { kind });
      const peer = await sendsPublicValue({ y })(end);
      await peer.readPublicValue();
      const service = await end.target.next();
      // What the server makes of this y: 0, 1, and for p - 1 either 1 or p - 1, which only its packets tell.
      const candidates = y === p - 1n ? [1n, p - 1n] : [y];
      await service.write("hello");
      assert.equal(await peer.receiveUnderOneOf(candidates, 5), "hello");
      assert.ok(await isAlive({ peer, plain: service }));
    });
  }
}
