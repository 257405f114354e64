// Servers that spiped -e should not have been sent to: the application is reset, learns nothing, and tells them nothing.

import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { test } from "node:test";
import { limits } from "../support/cleanup.js";
import { type ClientEnd, isAlive, startClientEnd } from "../support/one-end.js";
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

const hostile: Readonly<Record<string, Server>> = {
  "closes at once": async (peer) => peer.link.close(),
  "resets at once": async (peer) => peer.link.reset(),
  "sends rubbish": sends(randomBytes(handshakeBytes)),
  "sends a megabyte of rubbish": sends(randomBytes(1 << 20)),
  "sends its nonce and closes": async (peer) => {
    await peer.sendNonce();
    peer.link.close();
  },
  "reads the whole handshake and then closes": async (peer) => {
    await peer.sendNonce();
    await peer.readNonce();
    await peer.readPublicValue();
    peer.link.close();
  },
  "has one bit of its MAC wrong": sendsPublicValue({ macIsWrong: true }),
  "sends y = p under a right MAC": sendsPublicValue({ y: p }),
  "sends y = 2^2048 - 1 under a right MAC": sendsPublicValue({ y: 2n ** 2048n - 1n }),
  "sends back what the client sent": async (peer) => {
    await peer.link.write(await peer.link.read(nonceBytes));
    await peer.link.write(await peer.link.read(macedPublicValueBytes));
  },
};

const slow: Readonly<Record<string, Server>> = {
  "sends nothing": sends(),
  "sends half a nonce": sends(new Uint8Array(nonceBytes / 2)),
  "sends a nonce and nothing more": sends(new Uint8Array(nonceBytes)),
  "stops in the middle of its public value": sends(
    new Uint8Array(nonceBytes),
    new Uint8Array(macedPublicValueBytes / 2),
  ),
};

const secret = "not for strangers";

/** Lets `server` do its thing to a connection on which the application already talks. */
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
    `spiped -e on ${kind} resets the application of a hostile server with a line each, and goes on`,
    limits,
    async (t) => {
      const end = await startClientEnd(t, { kind });
      const friend = await end.establish();
      for (const [index, [what, server]] of Object.entries(hostile).entries()) {
        await t.test(`a server that ${what}`, async () => {
          await meets(end, server);
          await end.spiped.command.line(/handshake|reset/i, index + 1);
          assert.ok(await isAlive(friend));
        });
      }

      friend.peer.link.finish();
      friend.plain.finish();
      await friend.plain.end();
      await friend.peer.link.end();
      assert.equal((await stopAndGetLines(end.spiped)).length, Object.keys(hostile).length);
    },
  );

  test(`spiped -e on ${kind} resets the applications of silent servers when -o is over`, limits, async (t) => {
    const end = await startClientEnd(t, { kind, flags: ["-o", "0.5"] });
    for (const server of Object.values(slow)) await meets(end, server);
    const lines = await stopAndGetLines(end.spiped);
    assert.equal(lines.length, Object.keys(slow).length);
    for (const line of lines) assert.match(line, /time|handshake/i);
  });

  for (const [what, y] of [
    ["0", 0n],
    ["1", 1n],
    ["p - 1", p - 1n],
  ] as const) {
    test(`spiped -e -g on ${kind} refuses a server whose y is ${what}`, limits, async (t) => {
      const end = await startClientEnd(t, { kind, flags: ["-g", ...patience] });
      await meets(end, sendsPublicValue({ y }));
      await end.spiped.command.line(/handshake|secrecy/i);
      assert.ok(await isAlive(await end.establish()));
    });

    test(`spiped -e on ${kind} takes a server whose y is ${what}`, limits, async (t) => {
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

test("spiped -e lets go of a server whose application was reset during the handshake", limits, async (t) => {
  const end = await startClientEnd(t, { kind: "tcp" });
  const { app, peer } = await end.server();
  await peer.sendNonce();
  await peer.readNonce();
  app.reset();
  await peer.readPublicValue();
  await peer.write(peer.macedPublicValue());
  assert.equal(await peer.link.endWhileOpen(), "reset");
  await end.spiped.command.line(/connection from/);
  assert.ok(await isAlive(await end.establish()));
});
