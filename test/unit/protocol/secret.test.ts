// K out of a key file's pieces.

import { test } from "node:test";
import fc from "fast-check";
import { addon } from "#dist/native/native.js";
import { createKeyHasher } from "#dist/protocol/secret.js";
import { dhMacKeysOf, macPublicValue, secretOf } from "../../support/reference-protocol.js";
import { sameBytes } from "../support/bytes.js";
import { keyedClient, someNonces } from "../support/handshakes.js";

test("K is the SHA-256 of all pieces together, however they are cut", () => {
  fc.assert(
    fc.property(fc.array(fc.uint8Array({ maxLength: 200 }), { maxLength: 10 }), (pieces) => {
      const hasher = createKeyHasher();
      for (const piece of pieces) hasher.update(piece);
      const client = keyedClient(hasher.finish(), "off", someNonces);
      const { client: dhMacKeyC } = dhMacKeysOf(secretOf(Buffer.concat(pieces)), someNonces.nonceC, someNonces.nonceS);
      sameBytes(client.macedPublic(addon.KeyPair.withoutForwardSecrecy()), macPublicValue(dhMacKeyC, 1n));
    }),
  );
});

test("a piece may be wiped as soon as it has been handed over", () => {
  const piece = Uint8Array.of(1, 2, 3);
  const hasher = createKeyHasher();
  hasher.update(piece);
  piece.fill(0);
  const client = keyedClient(hasher.finish(), "off", someNonces);
  const K = secretOf(Uint8Array.of(1, 2, 3));
  const { client: dhMacKeyC } = dhMacKeysOf(K, someNonces.nonceC, someNonces.nonceS);
  sameBytes(client.macedPublic(addon.KeyPair.withoutForwardSecrecy()), macPublicValue(dhMacKeyC, 1n));
});
