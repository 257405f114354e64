// Our sealer and opener against test/vectors/packet.json.

import assert from "node:assert/strict";
import { test } from "node:test";
import type { ErrorCode } from "#dist/errors.js";
import { addon } from "#dist/native/native.js";
import { Opener, Sealer } from "#dist/protocol/packets.js";
import { openPacket, sealPacket } from "../../support/reference-protocol.js";
import { flipped, piecesOf, sameBytes, splits } from "../support/bytes.js";
import { throwsCode, throwsSpipedError } from "../support/errors.js";
import { type PacketVector, packetVectors, parsePacketVector, rawVectors } from "../support/vectors.js";

const codes: Readonly<Record<"bad mac" | "bad length", ErrorCode>> = {
  "bad mac": "SPIPED_PACKET_MAC",
  "bad length": "SPIPED_PACKET_LENGTH",
};

for (const vector of packetVectors) {
  const { name, packet, expect } = vector;

  for (const length of splits) {
    test(`packet ${name}: gives ${expect} when it arrives in pieces of ${length} bytes`, () => {
      const opener = openerOf(vector);
      const opened: Uint8Array[] = [];
      let taken = 0;
      const takeAll = () => {
        for (const piece of piecesOf(packet, length)) {
          const room = new Uint8Array(opener.outputLength(piece.length));
          opened.push(room.subarray(0, opener.transform(piece, room)));
          taken += piece.length;
          assert.equal(opener.pendingBytes, taken % packet.length);
        }
      };
      if (expect === "success") {
        takeAll();
        sameBytes(Buffer.concat(opened), plaintextOf(vector));
      } else {
        throwsSpipedError(takeAll, codes[expect], /./);
        assert.equal(Buffer.concat(opened).length, 0);
        assert.ok(packet.length - taken <= length, "it is refused with its last byte and not before");
      }
    });
  }

  // Some vectors are valid packets with one bit flipped; flipping it back makes them valid.
  const mended = name.endsWith("_bit_flipped") ? 1 : 0;
  test(`packet ${name}: is refused with any${mended === 1 ? " other" : ""} bit flipped`, () => {
    const room = new Uint8Array(1_024);
    let opened = 0;
    for (const bit of bitsToFlip(vector)) {
      const changed = flipped(packet, bit);
      if (mended === 1 && isRight(vector, changed)) {
        openerOf(vector).transform(changed, room);
        opened += 1;
      } else {
        throwsCode(() => openerOf(vector).transform(changed, room), "SPIPED_PACKET_MAC", `bit ${bit}`);
      }
    }
    assert.equal(opened, mended);
  });

  test(`packet ${name}: is refused under any other number`, () => {
    const room = new Uint8Array(1_024);
    for (let bit = 0n; bit < 64n; bit += 1n) {
      const number = vector.number ^ (1n << bit);
      const right = sealPacket(vector, number, Buffer.from("data"));
      assert.equal(openerOf({ ...vector, number }).transform(right, room), 4);
      if (name === "packet_replayed_under_next_number" && number === 0n) continue;
      throwsCode(() => openerOf({ ...vector, number }).transform(packet, room), "SPIPED_PACKET_MAC", `bit ${bit}`);
    }
  });

  test(`packet ${name}: is refused under keys with one bit flipped`, () => {
    const room = new Uint8Array(1_024);
    for (let bit = 0; bit < 256; bit += 1) {
      const changed = { ...vector, H: flipped(vector.H, bit) };
      throwsCode(() => openerOf(changed).transform(packet, room), "SPIPED_PACKET_MAC", `bit ${bit} of H`);
    }
  });

  if (expect === "success") {
    test(`packet ${name}: sealing its cleartext gives it${name === "padding_not_zero" ? ", but for the padding" : ""}`, () => {
      const sealed = new Uint8Array(1_060);
      assert.equal(sealerOf(vector).transform(plaintextOf(vector), sealed), 1_060);
      sameBytes(sealed, sealPacket(vector, vector.number, plaintextOf(vector)));
      if (name === "padding_not_zero") {
        const dataLength = plaintextOf(vector).length;
        sameBytes(sealed.subarray(0, dataLength), packet.subarray(0, dataLength));
        sameBytes(sealed.subarray(1_024, 1_028), packet.subarray(1_024, 1_028));
        assert.notDeepEqual(sealed.subarray(dataLength, 1_024), packet.subarray(dataLength, 1_024));
      } else {
        sameBytes(sealed, packet);
      }
    });
  }
}

test("after packet number 2^64 - 1, a direction neither seals nor opens any more packets", () => {
  const vector = packetVectors.find(({ name }) => name === "number_last");
  assert.ok(vector?.cleartext !== undefined);
  const sealer = sealerOf(vector);
  const opener = openerOf(vector);
  const room = new Uint8Array(3 * 1_060);
  throwsCode(() => sealer.transform(new Uint8Array(1_025), room), "SPIPED_PACKET_NUMBERS_USED_UP");
  assert.equal(sealer.transform(vector.cleartext, room), 1_060, "a read that needs too many numbers uses none up");
  sameBytes(room.subarray(0, 1_060), vector.packet);
  throwsCode(() => sealer.transform(vector.cleartext ?? room, room.slice()), "SPIPED_PACKET_NUMBERS_USED_UP");
  assert.equal(opener.transform(vector.packet, room), vector.cleartext.length);
  throwsCode(() => opener.transform(vector.packet, room), "SPIPED_PACKET_NUMBERS_USED_UP");
});

test("a packet vector with an unknown field is refused", () => {
  for (const vector of rawVectors("packet.json")) {
    assert.throws(() => parsePacketVector({ ...Object(vector), padding: "00" }), /unknown fields: padding/);
  }
});

test("a packet vector that is to fail but has a cleartext is refused", () => {
  const failing = rawVectors("packet.json").find((vector) => Object(vector).expect !== "success");
  assert.throws(() => parsePacketVector({ ...Object(failing), cleartext: "61" }), /unknown fields: cleartext/);
});

/** Every bit of some vectors, one bit of each byte of the others. */
function bitsToFlip({ name, packet }: PacketVector): readonly number[] {
  if (name === "one_byte" || name.endsWith("_bit_flipped"))
    return Array.from({ length: 8 * packet.length }, (_, i) => i);
  return Array.from(packet, (_, at) => 8 * at + (at % 8));
}

function openerOf({ E, H, number }: Pick<PacketVector, "E" | "H" | "number">): Opener {
  return new Opener(addon.Opener.fromKeys(E, H, number));
}

function sealerOf({ E, H, number }: Pick<PacketVector, "E" | "H" | "number">): Sealer {
  return new Sealer(addon.Sealer.fromKeys(E, H, number));
}

function plaintextOf({ cleartext }: PacketVector): Uint8Array {
  assert.ok(cleartext !== undefined);
  return cleartext;
}

function isRight({ E, H, number }: PacketVector, packet: Uint8Array): boolean {
  try {
    openPacket({ E, H }, number, packet);
    return true;
  } catch {
    return false;
  }
}
