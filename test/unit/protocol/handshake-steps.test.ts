// The handshake's phases: both sides of the product against each other, and each against the tests' own implementation.

import assert from "node:assert/strict";
import { test } from "node:test";
import {
  type ForwardSecrecy,
  type PublicExchanged,
  type SessionKeys,
  startClientHandshake,
  startServerHandshake,
} from "#dist/protocol/handshake-steps.js";
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
      test(`${whom} that requires forward secrecy refuses a peer that gives it up`, async () => {
        await rejectsSpipedError(bothSides(client, server), "SPIPED_FORWARD_SECRECY_REQUIRED", /this side requires it/);
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

test("session keys seal a first packet, and what is sealed behind it has the next number", async () => {
  const { keysC, keysS } = await bothSides("off", "off");
  const first = keysC.sealFirst(Buffer.from("first"));
  const second = new Uint8Array(1_060);
  keysC.sealer.transform(Buffer.from("second"), second);
  const room = new Uint8Array(2_048);
  assert.equal(keysS.opener.transform(Buffer.concat([first, second]), room), "firstsecond".length);
  sameBytes(room.subarray(0, "firstsecond".length), Buffer.from("firstsecond"));
  throwsSpipedError(() => keysC.sealFirst(text), "SPIPED_STEP", /used up/);
});

test("session keys that are destroyed neither seal nor open, whether they were taken before or not", async () => {
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
    test(`a ${role} refuses y = ${name}, which is out of range, whatever it wants of forward secrecy`, async () => {
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

  test(`a ${role} looks at the MAC before it looks at y`, async () => {
    const { verifyBytes, macKey } = await verifierOf(role, "require");
    const wrong = flipped(macPublicValue(macKey, p), 8 * 287);
    throwsSpipedError(() => verifyBytes(wrong), "SPIPED_WRONG_MAC", /another key file/);
  });

  test(`a ${role} refuses its own public value sent back to it`, async () => {
    const { verifyBytes, ownMaced } = await verifierOf(role, "off");
    throwsSpipedError(() => verifyBytes(ownMaced), "SPIPED_WRONG_MAC", /wrong MAC/);
  });

  test(`a ${role} with another key file is refused`, async () => {
    const other = sharedKeyOf(Buffer.from("not the same"));
    const keys: Record<Role, typeof key> = { client: key, server: key, [role]: other };
    await rejectsSpipedError(bothSides("off", "off", keys), "SPIPED_WRONG_MAC", /another key file/);
  });

  test(`a ${role} whose peer sends a nonce of another length refuses it`, () => {
    const start = role === "client" ? startClientHandshake : startServerHandshake;
    for (const length of [0, 31, 33]) {
      throwsSpipedError(() => start(key, "off").receiveNonce(new Uint8Array(length)), "SPIPED_BUFFER", /32 bytes/);
    }
  });

  test(`a ${role} that is destroyed in any phase takes no further step`, async () => {
    const start = role === "client" ? startClientHandshake : startServerHandshake;
    const started = start(key, "off");
    started.destroy();
    throwsSpipedError(() => started.receiveNonce(new Uint8Array(32)), "SPIPED_STEP", /destroyed/);
    const keyed = start(key, "off").receiveNonce(new Uint8Array(32));
    keyed.destroy();
    if ("makePublic" in keyed) await rejectsSpipedError(keyed.makePublic(), "SPIPED_STEP", /destroyed/);
    else throwsSpipedError(() => keyed.verify(new Uint8Array(288)), "SPIPED_STEP", /destroyed/);
    const { exchanged } = await exchangedAs(role);
    exchanged.destroy();
    await rejectsSpipedError(exchanged.deriveKeys(), "SPIPED_STEP", /destroyed/);
  });
}

test("a client that is destroyed while its key pair is made sends nothing", async () => {
  const keyed = startClientHandshake(key, "allow").receiveNonce(new Uint8Array(32));
  const made = keyed.makePublic();
  keyed.destroy();
  await rejectsSpipedError(made, "SPIPED_STEP", /destroyed/);
});

test("no phase can be used a second time", async () => {
  const started = startClientHandshake(key, "off");
  const keyed = started.receiveNonce(new Uint8Array(32));
  throwsSpipedError(() => started.receiveNonce(new Uint8Array(32)), "SPIPED_STEP", /out of order/);
  await keyed.makePublic();
  await rejectsSpipedError(keyed.makePublic(), "SPIPED_STEP", /out of order/);
  const { exchanged } = await exchangedAs("server");
  await exchanged.deriveKeys();
  await rejectsSpipedError(exchanged.deriveKeys(), "SPIPED_STEP", /used up/);
});

async function bothSides(client: ForwardSecrecy, server: ForwardSecrecy, keys = { client: key, server: key }) {
  const startedC = startClientHandshake(keys.client, client);
  const startedS = startServerHandshake(keys.server, server);
  const keyedC = startedC.receiveNonce(startedS.nonce);
  const awaitingS = startedS.receiveNonce(startedC.nonce);
  const { macedPublic: macedC, next: awaitingC } = await keyedC.makePublic();
  const { macedPublic: macedS, next: exchangedS } = await awaitingS.verify(macedC).makePublic();
  const exchangedC = awaitingC.verify(macedS);
  const [keysC, keysS] = await Promise.all([exchangedC.deriveKeys(), exchangedS.deriveKeys()]);
  return { keysC, keysS, macedC, macedS };
}

/** A handshake of the product's `role` with the reference, whose exponent is `x`. */
async function againstReference(
  role: Role,
  mode: ForwardSecrecy,
  x: bigint,
): Promise<{ keys: SessionKeys; ySC: bigint; nonceC: Uint8Array; nonceS: Uint8Array }> {
  const peerNonce = new Uint8Array(32).fill(Number(x % 251n) + 1);
  const started = role === "client" ? startClientHandshake(key, mode) : startServerHandshake(key, mode);
  const [nonceC, nonceS] = role === "client" ? [started.nonce, peerNonce] : [peerNonce, started.nonce];
  const macKeys = dhMacKeysOf(secretOf(keyFile), nonceC, nonceS);
  const peerMaced = macPublicValue(macKeys[role === "client" ? "server" : "client"], publicValueOf(x));
  const phase = started.receiveNonce(peerNonce);
  let maced: Uint8Array;
  let exchanged: PublicExchanged;
  if ("makePublic" in phase) {
    const { macedPublic, next } = await phase.makePublic();
    maced = macedPublic;
    exchanged = next.verify(peerMaced);
  } else {
    const { macedPublic, next } = await phase.verify(peerMaced).makePublic();
    maced = macedPublic;
    exchanged = next;
  }
  const y = checkPublicValue(macKeys[role], maced);
  const keys = await exchanged.deriveKeys();
  return { keys, ySC: sharedValueOf(y, x), nonceC, nonceS };
}

/** The last phase but one of a side, before it checks its peer's public value. */
async function verifierOf(role: Role, mode: ForwardSecrecy) {
  const peerNonce = new Uint8Array(32).fill(9);
  const started = role === "client" ? startClientHandshake(key, mode) : startServerHandshake(key, mode);
  const [nonceC, nonceS] = role === "client" ? [started.nonce, peerNonce] : [peerNonce, started.nonce];
  const macKeys = dhMacKeysOf(secretOf(keyFile), nonceC, nonceS);
  const phase = started.receiveNonce(peerNonce);
  const macKey = macKeys[role === "client" ? "server" : "client"];
  const awaiting = "makePublic" in phase ? (await phase.makePublic()).next : phase;
  const verifyBytes = (maced: Uint8Array) => awaiting.verify(maced);
  return {
    macKey,
    ownMaced: macPublicValue(macKeys[role], 1n),
    verifyBytes,
    verify: (y: bigint) => verifyBytes(macPublicValue(macKey, y)),
  };
}

async function exchangedAs(role: Role): Promise<{ exchanged: PublicExchanged }> {
  const startedC = startClientHandshake(key, "off");
  const startedS = startServerHandshake(key, "off");
  const { macedPublic: macedC, next } = await startedC.receiveNonce(startedS.nonce).makePublic();
  const verified = startedS.receiveNonce(startedC.nonce).verify(macedC);
  const { macedPublic: macedS, next: exchangedS } = await verified.makePublic();
  return { exchanged: role === "client" ? next.verify(macedS) : exchangedS };
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
