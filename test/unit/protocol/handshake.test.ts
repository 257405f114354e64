// The handshake's steps: client and server against each other, and each against the tests' own implementation.

import assert from "node:assert/strict";
import { test } from "node:test";
import { ClientHandshake, type ForwardSecrecy, ServerHandshake, type SessionKeys } from "#dist/protocol/handshake.js";
import type { Framing } from "#dist/protocol/packets.js";
import {
  checkPublicValue,
  dhMacKeysOf,
  macPublicValue,
  openPacket,
  p,
  packetKeysOf,
  publicValueOf,
  type Role,
  sealPacket,
  secretOf,
  sharedValueOf,
} from "../../support/reference-protocol.js";
import { flipped, sameBytes } from "../support/bytes.js";
import { rejectsSpipedError, throwsSpipedError } from "../support/errors.js";
import { sharedKeyOf } from "../support/handshakes.js";

const keyFile = Buffer.from("the same on both machines");
const key = sharedKeyOf(keyFile);
const modes: readonly ForwardSecrecy[] = ["off", "allow", "require"];
const text = Buffer.from("hello");

for (const client of modes) {
  for (const server of modes) {
    const gives = client === "off" || server === "off";
    const refused = (client === "off" && server === "require") || (server === "off" && client === "require");
    if (refused) {
      const whom = client === "off" ? "a server" : "a client";
      test(`${whom} that requires forward secrecy refuses a peer that turns it off`, async () => {
        await rejectsSpipedError(bothSides(client, server), "SPIPED_FORWARD_SECRECY_REQUIRED", /this end requires it/);
      });
    } else {
      test(`a client with "${client}" and a server with "${server}" agree on keys ${gives ? "without" : "with"} forward secrecy`, async () => {
        const { keysC, keysS, macedC, macedS } = await bothSides(client, server);
        carries(keysC.sealer, keysS.opener);
        carries(keysS.sealer, keysC.opener);
        assert.equal(isOne(macedC), client === "off");
        assert.equal(isOne(macedS), server === "off");
      });
    }
  }
}

test("session keys seal a first packet, and the next packet has the next number", async () => {
  const { keysC, keysS } = await bothSides("off", "off");
  const first = keysC.sealFirst(Buffer.from("first"));
  const second = new Uint8Array(1_060);
  keysC.sealer.transform(Buffer.from("second"), second);
  const room = new Uint8Array(2_048);
  assert.equal(keysS.opener.transform(Buffer.concat([first, second]), room), "firstsecond".length);
  sameBytes(room.subarray(0, "firstsecond".length), Buffer.from("firstsecond"));
  throwsSpipedError(() => keysC.sealFirst(text), "SPIPED_STEP", /used up/);
});

test("destroyed session keys neither seal nor open, whether or not they were used before", async () => {
  const [used, unused] = [await bothSides("off", "off"), await bothSides("off", "off")];
  carries(used.keysC.sealer, used.keysS.opener);
  for (const { keysC, keysS } of [used, unused]) {
    keysC.destroy();
    keysS.destroy();
    assert.throws(() => keysC.sealer.transform(text, new Uint8Array(1_060)));
    assert.throws(() => keysS.opener.transform(new Uint8Array(1_060), new Uint8Array(1_024)));
  }
  throwsSpipedError(() => used.keysC.sealer.transform(text, new Uint8Array(1_060)), "SPIPED_STEP", /destroyed/);
  // Not because of what it is to open.
  throwsSpipedError(
    () => used.keysS.opener.transform(new Uint8Array(1_060), new Uint8Array(1_024)),
    "SPIPED_STEP",
    /destroyed/,
  );
});

for (const role of ["client", "server"] as const) {
  for (const mode of ["off", "allow"] as const) {
    test(`a ${role} with forward secrecy "${mode}" speaks the protocol with the reference`, async () => {
      for (const x of [0n, 1n, 0xfeed_f00dn]) {
        const { keys, ySC, nonceC, nonceS } = await againstReference(role, mode, x);
        const expected = packetKeysOf(secretOf(keyFile), nonceC, nonceS, ySC);
        const packet = new Uint8Array(1_060);
        keys.sealer.transform(text, packet);
        sameBytes(openPacket(expected[role], 0n, packet), text);
        const room = new Uint8Array(1_024);
        keys.opener.transform(sealPacket(expected[role === "client" ? "server" : "client"], 0n, text), room);
        sameBytes(room.subarray(0, text.length), text);
      }
    });
  }

  for (const [name, y] of [
    ["0", 0n],
    ["1", 1n],
    ["p - 1", p - 1n],
  ] as const) {
    test(`a ${role} that requires forward secrecy refuses y = ${name}, and one that allows it goes on`, async () => {
      const { verify } = await verifierOf(role, "require");
      throwsSpipedError(() => verify(y), "SPIPED_FORWARD_SECRECY_REQUIRED", /forward secrecy/);
      (await verifierOf(role, "allow")).verify(y);
    });
  }

  for (const [name, y] of [
    ["p", p],
    ["p + 1", p + 1n],
    ["2^2048 - 1", 2n ** 2_048n - 1n],
  ] as const) {
    test(`a ${role} refuses y = ${name}, which is out of range, with any forward secrecy setting`, async () => {
      for (const mode of modes) {
        const { verify } = await verifierOf(role, mode);
        throwsSpipedError(() => verify(y), "SPIPED_DH_OUT_OF_RANGE", /out of range/);
      }
    });
  }

  for (const [name, y] of [
    ["2", 2n],
    ["p - 2", p - 2n],
  ] as const) {
    test(`a ${role} that requires forward secrecy goes on with y = ${name}`, async () => {
      (await verifierOf(role, "require")).verify(y);
    });
  }

  test(`a ${role} checks the MAC before it checks y`, async () => {
    const { verifyBytes, macKey } = await verifierOf(role, "require");
    const wrong = flipped(macPublicValue(macKey, p), 8 * 287);
    throwsSpipedError(() => verifyBytes(wrong), "SPIPED_WRONG_MAC", /different key/);
  });

  test(`a ${role} refuses its own public value sent back to it`, async () => {
    const { verifyBytes, ownMaced } = await verifierOf(role, "off");
    throwsSpipedError(() => verifyBytes(ownMaced), "SPIPED_WRONG_MAC", /wrong MAC/);
  });

  test(`a ${role} with another key file is refused`, async () => {
    const other = sharedKeyOf(Buffer.from("not the same"));
    const keys: Record<Role, typeof key> = { client: key, server: key, [role]: other };
    await rejectsSpipedError(bothSides("off", "off", keys), "SPIPED_WRONG_MAC", /different key/);
  });

  test(`a ${role} refuses a nonce of the wrong length`, () => {
    for (const length of [0, 31, 33]) {
      const handshake = begin(role, "off");
      throwsSpipedError(() => handshake.receiveNonce(new Uint8Array(length)), "SPIPED_BUFFER", /32 bytes/);
    }
  });

  test(`a ${role} that is destroyed before any step refuses all steps`, async () => {
    const started = begin(role, "off");
    started.destroy();
    throwsSpipedError(() => started.receiveNonce(new Uint8Array(32)), "SPIPED_STEP", /destroyed/);
    const keyed = begin(role, "off");
    keyed.receiveNonce(new Uint8Array(32));
    keyed.destroy();
    throwsSpipedError(() => keyed.macedPublic(), "SPIPED_STEP", /destroyed/);
    throwsSpipedError(() => keyed.verify(new Uint8Array(288)), "SPIPED_STEP", /destroyed/);
    const exchanged = await exchangedAs(role);
    exchanged.destroy();
    throwsSpipedError(() => exchanged.deriveKeys(), "SPIPED_STEP", /destroyed/);
  });

  test(`a ${role} refuses a step out of order, and then continues with the right one`, async () => {
    const early = begin(role, "off");
    throwsSpipedError(() => early.verify(new Uint8Array(288)), "SPIPED_STEP", /out of order/);
    throwsSpipedError(() => early.macedPublic(), "SPIPED_STEP", /out of order/);
    throwsSpipedError(() => early.deriveKeys(), "SPIPED_STEP", /out of order/);
    early.receiveNonce(new Uint8Array(32));
    throwsSpipedError(() => early.receiveNonce(new Uint8Array(32)), "SPIPED_STEP", /out of order/);
    const exchanged = await exchangedAs(role);
    throwsSpipedError(() => exchanged.macedPublic(), "SPIPED_STEP", /out of order/);
    await exchanged.deriveKeys();
    throwsSpipedError(() => exchanged.deriveKeys(), "SPIPED_STEP", /used up/);
  });
}

test("a client that is destroyed while its key pair is generated sends nothing", async () => {
  const client = new ClientHandshake(key, "allow");
  client.receiveNonce(new Uint8Array(32));
  const made = client.macedPublic();
  client.destroy();
  assert.ok(made instanceof Promise);
  await rejectsSpipedError(made, "SPIPED_STEP", /destroyed/);
});

function begin(role: Role, mode: ForwardSecrecy): ClientHandshake | ServerHandshake {
  return role === "client" ? new ClientHandshake(key, mode) : new ServerHandshake(key, mode);
}

async function bothSides(client: ForwardSecrecy, server: ForwardSecrecy, keys = { client: key, server: key }) {
  const sideC = new ClientHandshake(keys.client, client);
  const sideS = new ServerHandshake(keys.server, server);
  const { macedC, macedS } = await exchange(sideC, sideS);
  const [keysC, keysS] = await Promise.all([sideC.deriveKeys(), sideS.deriveKeys()]);
  return { keysC, keysS, macedC, macedS };
}

/** All steps but the last. */
async function exchange(client: ClientHandshake, server: ServerHandshake) {
  client.receiveNonce(server.nonce);
  server.receiveNonce(client.nonce);
  const macedC = await client.macedPublic();
  server.verify(macedC);
  const macedS = await server.macedPublic();
  client.verify(macedS);
  return { macedC, macedS };
}

/** A handshake of our `role` with the reference implementation, whose exponent is `x`. */
async function againstReference(
  role: Role,
  mode: ForwardSecrecy,
  x: bigint,
): Promise<{ keys: SessionKeys; ySC: bigint; nonceC: Uint8Array; nonceS: Uint8Array }> {
  const peerNonce = new Uint8Array(32).fill(Number(x % 251n) + 1);
  const handshake = begin(role, mode);
  const [nonceC, nonceS] = role === "client" ? [handshake.nonce, peerNonce] : [peerNonce, handshake.nonce];
  const macKeys = dhMacKeysOf(secretOf(keyFile), nonceC, nonceS);
  const peerMaced = macPublicValue(macKeys[role === "client" ? "server" : "client"], publicValueOf(x));
  handshake.receiveNonce(peerNonce);
  if (role === "server") handshake.verify(peerMaced);
  const maced = await handshake.macedPublic();
  if (role === "client") handshake.verify(peerMaced);
  const y = checkPublicValue(macKeys[role], maced);
  const keys = await handshake.deriveKeys();
  return { keys, ySC: sharedValueOf(y, x), nonceC, nonceS };
}

/** A side that is about to check its peer's public value. */
async function verifierOf(role: Role, mode: ForwardSecrecy) {
  const peerNonce = new Uint8Array(32).fill(9);
  const handshake = begin(role, mode);
  const [nonceC, nonceS] = role === "client" ? [handshake.nonce, peerNonce] : [peerNonce, handshake.nonce];
  const macKeys = dhMacKeysOf(secretOf(keyFile), nonceC, nonceS);
  handshake.receiveNonce(peerNonce);
  const macKey = macKeys[role === "client" ? "server" : "client"];
  if (role === "client") await handshake.macedPublic();
  const verifyBytes = (maced: Uint8Array) => handshake.verify(maced);
  return {
    macKey,
    ownMaced: macPublicValue(macKeys[role], 1n),
    verifyBytes,
    verify: (y: bigint) => verifyBytes(macPublicValue(macKey, y)),
  };
}

/** A side that has only its last step to take. */
async function exchangedAs(role: Role): Promise<ClientHandshake | ServerHandshake> {
  const client = new ClientHandshake(key, "off");
  const server = new ServerHandshake(key, "off");
  await exchange(client, server);
  return role === "client" ? client : server;
}

function carries(sealer: Framing, opener: Framing): void {
  const packet = new Uint8Array(1_060);
  assert.equal(sealer.transform(text, packet), 1_060);
  const room = new Uint8Array(1_024);
  assert.equal(opener.transform(packet, room), text.length);
  sameBytes(room.subarray(0, text.length), text);
}

function isOne(maced: Uint8Array): boolean {
  return maced.subarray(0, 255).every((byte) => byte === 0) && maced[255] === 1;
}
