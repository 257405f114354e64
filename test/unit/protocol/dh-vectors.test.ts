// Group 14 through the addon against test/vectors/dh.json.
//
// The addon takes no dhmac key from outside, and y_SC never leaves it. So the vectors' MACs are checked with node:crypto,
// and the addon is shown the same y under a MAC of the key that it derives itself. Of y_SC the packets show whether it is
// right.

import assert from "node:assert/strict";
import { test } from "node:test";
import type { ErrorCode } from "#dist/errors.js";
import { addon } from "#dist/native/native.js";
import type { ForwardSecrecy } from "#dist/protocol/handshake.js";
import {
  dhMacKeysOf,
  macPublicValue,
  numberOf,
  packetKeysOf,
  publicValueOf,
  type Role,
  sealPacket,
  secretOf,
  sharedValueOf,
} from "../../support/reference-protocol.js";
import { flipped, sameBytes } from "../support/bytes.js";
import { throwsCode } from "../support/errors.js";
import { keyedClient, keyedServer, keyPairFor, sharedKeyOf, someNonces } from "../support/handshakes.js";
import { dhVectors, parseDhVector, rawVectors, type SharedValueVector } from "../support/vectors.js";

const keyFile = Buffer.from("any key file");
const secret = secretOf(keyFile);
const dhMacKeys = dhMacKeysOf(secret, someNonces.nonceC, someNonces.nonceS);
const text = Buffer.from("the first packet");

const roles: readonly Role[] = ["client", "server"];
const modes: readonly ForwardSecrecy[] = ["off", "allow", "require"];

for (const vector of dhVectors) {
  if (vector.kind === "shared value") {
    declareSharedValue(vector);
    continue;
  }
  const { name, peerY, peerMac, dhMacKeyS, expect } = vector;

  test(`dh ${name}: its MAC is ${expect === "bad mac" ? "not " : ""}the HMAC of y under the vector's key`, () => {
    const right = macPublicValue(dhMacKeyS, numberOf(peerY)).subarray(256);
    if (expect === "bad mac") assert.notDeepEqual(Uint8Array.from(right), peerMac);
    else sameBytes(peerMac, right);
  });

  for (const role of roles) {
    for (const mode of modes) {
      const code = codeExpected(expect, mode);
      test(`dh ${name}: the ${role} with forward secrecy "${mode}" ${code === undefined ? "goes on" : `says ${code}`}`, async () => {
        const maced = macPublicValue(dhMacKeys[role === "client" ? "server" : "client"], numberOf(peerY));
        const shown = expect === "bad mac" ? flipped(maced, 256 * 8) : maced;
        const verify = await verifierOf(role, mode);
        if (code === undefined) verify(shown);
        else throwsCode(() => verify(shown), code);
      });
    }

    test(`dh ${name}: the ${role} refuses it with any bit flipped`, async () => {
      const maced = macPublicValue(dhMacKeys[role === "client" ? "server" : "client"], numberOf(peerY));
      for (let bit = 0; bit < 8 * maced.length; bit += 1) {
        const verify = await verifierOf(role, "off");
        throwsCode(() => verify(flipped(maced, bit)), "SPIPED_WRONG_MAC", `bit ${bit}`);
      }
    });
  }
}

function declareSharedValue({ name, x, y, peerY, ySC }: SharedValueVector): void {
  test(`dh ${name}: x gives the vector's y and, with the peer's y, its y_SC`, async () => {
    for (const role of roles) {
      const { maced, firstPacket } = await exchange(role, x, peerY);
      sameBytes(maced, macPublicValue(dhMacKeys[role], numberOf(y)));
      sameBytes(firstPacket, packetUnder(role, numberOf(ySC)));
    }
  });

  test(`dh ${name}: a flipped bit of x gives another y and another y_SC`, async () => {
    for (const bit of [0, 7, 8, 127, 128, 248, 255]) {
      const other = flipped(x, bit);
      const { maced, firstPacket } = await exchange("client", other, peerY);
      const otherX = numberOf(other);
      sameBytes(maced, macPublicValue(dhMacKeys.client, publicValueOf(otherX)));
      sameBytes(firstPacket, packetUnder("client", sharedValueOf(numberOf(peerY), otherX)));
      assert.notDeepEqual(maced.subarray(0, 256), y);
      assert.notDeepEqual(firstPacket, Uint8Array.from(packetUnder("client", numberOf(ySC))));
    }
  });

  test(`dh ${name}: a flipped bit of the peer's y gives another y_SC`, async () => {
    for (const bit of [7, 8, 1_023, 1_024, 2_040, 2_047]) {
      const other = flipped(peerY, bit);
      const { firstPacket } = await exchange("client", x, other);
      sameBytes(firstPacket, packetUnder("client", sharedValueOf(numberOf(other), numberOf(x))));
      assert.notDeepEqual(firstPacket, Uint8Array.from(packetUnder("client", numberOf(ySC))));
    }
  });
}

for (const [what, x] of [
  ["0", 0n],
  ["1", 1n],
  ["2", 2n],
  ["2^255", 2n ** 255n],
  ["2^256 - 1", 2n ** 256n - 1n],
] as const) {
  test(`an exponent of ${what} gives the y and the y_SC of integer arithmetic`, async () => {
    const bytes = Buffer.from(x.toString(16).padStart(64, "0"), "hex");
    const peerY = publicValueOf(0x1234_5678_9abc_def0n);
    const peerBytes = macPublicValue(dhMacKeys.server, peerY).subarray(0, 256);
    const { maced, firstPacket } = await exchange("client", bytes, peerBytes);
    sameBytes(maced, macPublicValue(dhMacKeys.client, publicValueOf(x)));
    sameBytes(firstPacket, packetUnder("client", sharedValueOf(peerY, x)));
  });
}

test("fresh key pairs differ from each other and lie in the group", async () => {
  const [one, other] = await Promise.all([freshPublicValue(), freshPublicValue()]);
  assert.notDeepEqual(one, other);
  for (const y of [one, other]) assert.ok(numberOf(y) > 1n);
});

test("a dh vector with an unknown field is refused", () => {
  for (const vector of rawVectors("dh.json")) {
    assert.throws(() => parseDhVector({ ...Object(vector), group: "14" }), /unknown fields: group/);
  }
});

test("a dh vector with an unknown expectation is refused", () => {
  const [first] = rawVectors("dh.json");
  assert.throws(() => parseDhVector({ ...Object(first), expect: "maybe" }), /expect is unknown: maybe/);
});

function codeExpected(expect: string, mode: ForwardSecrecy): ErrorCode | undefined {
  if (expect === "bad mac") return "SPIPED_WRONG_MAC";
  if (expect === "dh out of range") return "SPIPED_DH_OUT_OF_RANGE";
  return mode === "require" ? "SPIPED_FORWARD_SECRECY_REQUIRED" : undefined;
}

/** `verify` of a handshake that has come as far as this step. */
async function verifierOf(role: Role, mode: ForwardSecrecy): Promise<(maced: Uint8Array) => void> {
  const key = sharedKeyOf(keyFile);
  if (role === "server") {
    const server = keyedServer(key, mode, someNonces);
    return (maced) => server.verify(maced);
  }
  const client = keyedClient(key, mode, someNonces);
  client.macedPublic(await keyPairFor(mode));
  return (maced) => client.verify(maced);
}

/** A handshake of one side with a given x against a given y: what it sends, and the first packet that it seals. */
async function exchange(
  role: Role,
  x: Uint8Array,
  peerY: Uint8Array,
): Promise<{ readonly maced: Uint8Array; readonly firstPacket: Uint8Array }> {
  const key = sharedKeyOf(keyFile);
  const keyPair = await addon.KeyPair.fromExponent(x);
  const peerMaced = macPublicValue(dhMacKeys[role === "client" ? "server" : "client"], numberOf(peerY));
  // An exponent of 0 gives no forward secrecy, so the addon takes it only where none is wanted.
  const mode = numberOf(x) === 0n ? "off" : "allow";
  const handshake = (role === "client" ? keyedClient : keyedServer)(key, mode, someNonces);
  if (role === "server") handshake.verify(peerMaced);
  const maced = handshake.macedPublic(keyPair);
  if (role === "client") handshake.verify(peerMaced);
  const firstPacket = new Uint8Array(1_060);
  (await handshake.deriveKeys()).takeSealer().seal(text, firstPacket);
  return { maced, firstPacket };
}

function packetUnder(role: Role, ySC: bigint): Uint8Array {
  const keys = packetKeysOf(secret, someNonces.nonceC, someNonces.nonceS, ySC);
  return sealPacket(keys[role], 0n, text);
}

async function freshPublicValue(): Promise<Uint8Array> {
  const client = keyedClient(sharedKeyOf(keyFile), "allow", someNonces);
  return client.macedPublic(await addon.KeyPair.generate()).subarray(0, 256);
}
