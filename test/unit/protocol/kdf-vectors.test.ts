// Key derivation through the addon against test/vectors/kdf.json.
//
// K, dk_1 and dk_2 never leave the addon. What shows is what it makes of them: h_C and h_S, which are HMACs under
// dhmac_C and dhmac_S, and packets under E_C, H_C, E_S and H_S. `secret` is recomputed from the key file.

import assert from "node:assert/strict";
import { test } from "node:test";
import { addon } from "#dist/native/native.js";
import { keyIdOf, macPublicValue, sealPacket, secretOf } from "../../support/reference-protocol.js";
import { flipped, piecesOf, publicValueBytes, sameBytes } from "../support/bytes.js";
import { throwsCode } from "../support/errors.js";
import { keyedClient, keyedServer, sharedKeyOf } from "../support/handshakes.js";
import { kdfVectors, parseKdfVector, rawVectors } from "../support/vectors.js";

const text = Buffer.from("the first packet");
const packetLength = 1_060;

test("the vectors include an empty key file, which the addon refuses", () => {
  const empty = kdfVectors.filter(({ keyFile }) => keyFile.length === 0);
  assert.equal(empty.length, 1);
  for (const { keyFile } of empty) throwsCode(() => sharedKeyOf(keyFile), "SPIPED_KEY_FILE");
});

for (const vector of kdfVectors.filter(({ keyFile }) => keyFile.length > 0)) {
  const { name, keyFile, nonceC, nonceS } = vector;
  const withoutForwardSecrecy = () => addon.KeyPair.withoutForwardSecrecy();

  test(`kdf ${name}: both sides produce the vector's MACs and packets`, async () => {
    sameBytes(secretOf(keyFile), vector.secret);
    sameBytes(vector.ySC, publicValueBytes(1n), "the addon's face reaches only y_SC = 1 without an x");
    const key = sharedKeyOf(keyFile);
    const client = keyedClient(key, "off", { nonceC, nonceS });
    const server = keyedServer(key, "off", { nonceC, nonceS });

    const macedC = client.macedPublic(withoutForwardSecrecy());
    sameBytes(macedC, macPublicValue(vector.dhMacKeyC, 1n));
    server.verify(macedC);
    const macedS = server.macedPublic(withoutForwardSecrecy());
    sameBytes(macedS, macPublicValue(vector.dhMacKeyS, 1n));
    client.verify(macedS);

    const keysOfClient = await client.deriveKeys();
    const keysOfServer = await server.deriveKeys();
    const packet = new Uint8Array(packetLength);
    const opened = new Uint8Array(1_024);
    keysOfClient.takeSealer().seal(text, packet);
    sameBytes(packet, sealPacket({ E: vector.E_C, H: vector.H_C }, 0n, text));
    assert.equal(keysOfServer.takeOpener().open(packet, opened), text.length);
    sameBytes(opened.subarray(0, text.length), text);
    keysOfServer.takeSealer().seal(text, packet);
    sameBytes(packet, sealPacket({ E: vector.E_S, H: vector.H_S }, 0n, text));
    assert.equal(keysOfClient.takeOpener().open(packet, opened), text.length);
    sameBytes(opened.subarray(0, text.length), text);
  });

  test(`kdf ${name}: the key has the vector's id`, () => {
    sameBytes(keyIdOf(secretOf(keyFile)), vector.keyId);
    sameBytes(sharedKeyOf(keyFile).id(), vector.keyId);
  });

  for (const length of [1, 7, 63, 64, 65]) {
    test(`kdf ${name}: K is the same if the key file is hashed in pieces of ${length} bytes`, () => {
      const hasher = new addon.KeyHasher();
      for (const piece of piecesOf(keyFile, length)) hasher.update(piece);
      hasher.update(new Uint8Array(0));
      const maced = keyedClient(hasher.finish(), "off", { nonceC, nonceS }).macedPublic(withoutForwardSecrecy());
      sameBytes(maced, macPublicValue(vector.dhMacKeyC, 1n));
    });
  }

  test(`kdf ${name}: a flipped bit of the key file or of a nonce gives other MACs to both sides`, () => {
    const right = { keyFile, nonceC, nonceS };
    const changes = [
      ...bitsOf(keyFile).map((bit) => ({ ...right, keyFile: flipped(keyFile, bit) })),
      ...bitsOf(nonceC).map((bit) => ({ ...right, nonceC: flipped(nonceC, bit) })),
      ...bitsOf(nonceS).map((bit) => ({ ...right, nonceS: flipped(nonceS, bit) })),
    ];
    const macedC = macPublicValue(vector.dhMacKeyC, 1n);
    const macedS = macPublicValue(vector.dhMacKeyS, 1n);
    for (const changed of changes) {
      const key = sharedKeyOf(changed.keyFile);
      throwsCode(() => keyedServer(key, "off", changed).verify(macedC), "SPIPED_WRONG_MAC");
      const client = keyedClient(key, "off", changed);
      client.macedPublic(withoutForwardSecrecy());
      throwsCode(() => client.verify(macedS), "SPIPED_WRONG_MAC");
    }
  });

  test(`kdf ${name}: a MAC under a key with one flipped bit is refused`, () => {
    const key = sharedKeyOf(keyFile);
    for (let bit = 0; bit < 256; bit += 1) {
      const maced = macPublicValue(flipped(vector.dhMacKeyC, bit), 1n);
      throwsCode(() => keyedServer(key, "off", { nonceC, nonceS }).verify(maced), "SPIPED_WRONG_MAC");
    }
  });

  test(`kdf ${name}: a flipped bit of a packet key changes the packet`, () => {
    const ours = seal(vector.E_C, vector.H_C);
    for (let bit = 0; bit < 256; bit += 1) {
      const byOtherE = seal(flipped(vector.E_C, bit), vector.H_C);
      assert.notDeepEqual(byOtherE.subarray(0, 1_028), ours.subarray(0, 1_028));
      const byOtherH = seal(vector.E_C, flipped(vector.H_C, bit));
      sameBytes(byOtherH.subarray(0, 1_028), ours.subarray(0, 1_028));
      assert.notDeepEqual(byOtherH.subarray(1_028), ours.subarray(1_028));
    }
  });
}

test("a kdf vector with an unknown field is refused", () => {
  const [first] = rawVectors("kdf.json");
  assert.throws(() => parseKdfVector({ ...Object(first), salt: "00" }), /unknown fields: salt/);
});

test("a kdf vector without one of its fields is refused", () => {
  const [first] = rawVectors("kdf.json");
  for (const field of Object.keys(Object(first))) {
    const { [field]: _left, ...others } = Object(first);
    assert.throws(() => parseKdfVector(others), new RegExp(`${field} is missing`));
  }
});

/** Each bit of short values, and some bits of each part of long ones. */
function bitsOf(bytes: Uint8Array): readonly number[] {
  const step = Math.max(1, Math.floor((8 * bytes.length) / 257));
  return Array.from({ length: Math.ceil((8 * bytes.length) / step) }, (_, index) => index * step);
}

function seal(E: Uint8Array, H: Uint8Array): Uint8Array {
  const packet = new Uint8Array(packetLength);
  addon.Sealer.fromKeys(E, H, 0n).seal(text, packet);
  return packet;
}
