// The reference peer against the known answers of test/vectors; other tests rely on it.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { flipBit } from "../support/reference-peer.js";
import {
  checkPublicValue,
  dhMacKeysOf,
  macPublicValue,
  numberOf,
  openPacket,
  packetDataBytes,
  packetKeysOf,
  publicValueOf,
  sealPacket,
  secretOf,
  sharedValueOf,
} from "../support/reference-protocol.js";

type Vector = Readonly<Record<string, unknown>> & { readonly name: string };

function vectorsOf(file: string): readonly Vector[] {
  const url = new URL(`../../../test/vectors/${file}`, import.meta.url);
  const { vectors } = JSON.parse(readFileSync(url, "utf8")) as { vectors: readonly Vector[] };
  assert.ok(vectors.length > 0);
  return vectors;
}

function bytes(value: unknown): Uint8Array {
  assert.ok(typeof value === "string" && /^([0-9a-f]{2})*$/.test(value));
  return Buffer.from(value, "hex");
}

function number(value: unknown): bigint {
  return numberOf(bytes(value));
}

function same(actual: Uint8Array, expected: unknown): void {
  assert.equal(Buffer.from(actual).toString("hex"), expected);
}

for (const vector of vectorsOf("kdf.json")) {
  test(`the reference peer derives the keys of ${vector.name}`, () => {
    const secret = secretOf(bytes(vector["keyFile"]));
    same(secret, vector["secret"]);
    const nonceC = bytes(vector["nonceC"]);
    const nonceS = bytes(vector["nonceS"]);
    const dhMacKeys = dhMacKeysOf(secret, nonceC, nonceS);
    same(dhMacKeys.client, vector["dhMacKeyC"]);
    same(dhMacKeys.server, vector["dhMacKeyS"]);
    const keys = packetKeysOf(secret, nonceC, nonceS, number(vector["ySC"]));
    same(keys.client.E, vector["E_C"]);
    same(keys.client.H, vector["H_C"]);
    same(keys.server.E, vector["E_S"]);
    same(keys.server.H, vector["H_S"]);
  });
}

for (const vector of vectorsOf("dh.json")) {
  test(`the reference peer accepts or refuses the public value of ${vector.name}`, () => {
    const { expect } = vector;
    if (vector["x"] !== undefined) {
      const x = number(vector["x"]);
      assert.equal(publicValueOf(x), number(vector["y"]));
      assert.equal(sharedValueOf(number(vector["peerY"]), x), number(vector["ySC"]));
      return;
    }
    const dhMacKey = bytes(vector["dhMacKeyS"]);
    const maced = Buffer.concat([bytes(vector["peerY"]), bytes(vector["peerMac"])]);
    if (expect === "success unless forward secrecy is required") {
      assert.equal(checkPublicValue(dhMacKey, maced), number(vector["peerY"]));
      same(macPublicValue(dhMacKey, number(vector["peerY"])), maced.toString("hex"));
    } else {
      assert.throws(() => checkPublicValue(dhMacKey, maced), { message: expect });
    }
  });
}

for (const vector of vectorsOf("packet.json")) {
  test(`the reference peer opens or refuses the packet of ${vector.name}`, () => {
    const keys = { E: bytes(vector["E"]), H: bytes(vector["H"]) };
    const packetNumber = BigInt(String(vector["number"]));
    const packet = bytes(vector["packet"]);
    if (vector["expect"] !== "success") {
      assert.throws(() => openPacket(keys, packetNumber, packet), { message: vector["expect"] });
      return;
    }
    same(openPacket(keys, packetNumber, packet), vector["cleartext"]);
    if (vector.name !== "padding_not_zero") {
      same(sealPacket(keys, packetNumber, bytes(vector["cleartext"])), vector["packet"]);
    }
    for (let bit = 0; bit < 8 * packet.length; bit += 97) {
      assert.throws(() => openPacket(keys, packetNumber, flipBit(packet, bit)), { message: "bad mac" });
    }
  });
}

for (const vector of vectorsOf("transcript.json")) {
  test(`the reference peer replays both roles of the recorded connection ${vector.name}`, () => {
    const secret = secretOf(bytes(vector["keyFile"]));
    const client = vector["clientSends"] as Record<string, unknown>;
    const server = vector["serverSends"] as Record<string, unknown>;
    const nonceC = bytes(client["nonce"]);
    const nonceS = bytes(server["nonce"]);
    const dhMacKeys = dhMacKeysOf(secret, nonceC, nonceS);
    const yC = checkPublicValue(dhMacKeys.client, bytes(client["dh"]));
    const yS = checkPublicValue(dhMacKeys.server, bytes(server["dh"]));

    const x = number(vector["x"]);
    const [ownRole, ownY, peerY] =
      vector["xIs"] === "the client's" ? (["client", yC, yS] as const) : (["server", yS, yC] as const);
    same(macPublicValue(dhMacKeys[ownRole], publicValueOf(x)), (ownRole === "client" ? client : server)["dh"]);
    assert.equal(publicValueOf(x), ownY);
    const ySC = sharedValueOf(peerY, x);
    assert.equal(ySC, number(vector["ySC"]));

    const keys = packetKeysOf(secret, nonceC, nonceS, ySC);
    for (const [role, sent] of [
      ["client", client],
      ["server", server],
    ] as const) {
      const packets = sent["packets"] as readonly unknown[];
      const opened = packets.map((packet, index) => openPacket(keys[role], BigInt(index), bytes(packet)));
      same(Buffer.concat(opened), vector["cleartextBothWays"]);
      for (const [index, data] of opened.entries()) {
        assert.ok(data.length <= packetDataBytes);
        same(sealPacket(keys[role], BigInt(index), data), packets[index]);
      }
    }
  });
}
