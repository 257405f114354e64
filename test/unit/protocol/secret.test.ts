// Deriving K from a key file's contents, and its public id.

import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { addon } from "#dist/native/native.js";
import { keyIdOf, sharedKeyOf } from "#dist/protocol/secret.js";
import { dhMacKeysOf, macPublicValue, keyIdOf as referenceIdOf, secretOf } from "../../support/reference-protocol.js";
import { sameBytes } from "../support/bytes.js";
import { throwsSpipedError } from "../support/errors.js";
import { keyedClient, someNonces } from "../support/handshakes.js";

test("K is the SHA-256 of all pieces, however they are cut", () => {
  fc.assert(
    fc.property(fc.array(fc.uint8Array({ maxLength: 200 }), { maxLength: 10 }), fc.nat(255), (pieces, last) => {
      const contents = [...pieces, Uint8Array.of(last)];
      const hasher = new addon.KeyHasher();
      for (const piece of contents) hasher.update(piece);
      const client = keyedClient(hasher.finish(), "off", someNonces);
      const K = secretOf(Buffer.concat(contents));
      const { client: dhMacKeyC } = dhMacKeysOf(K, someNonces.nonceC, someNonces.nonceS);
      sameBytes(client.macedPublic(addon.KeyPair.withoutForwardSecrecy()), macPublicValue(dhMacKeyC, 1n));
    }),
  );
});

test("the contents can be wiped as soon as they have been passed on", () => {
  const contents = Uint8Array.of(1, 2, 3);
  const key = sharedKeyOf(contents);
  contents.fill(0);
  const client = keyedClient(key, "off", someNonces);
  const K = secretOf(Uint8Array.of(1, 2, 3));
  const { client: dhMacKeyC } = dhMacKeysOf(K, someNonces.nonceC, someNonces.nonceS);
  sameBytes(client.macedPublic(addon.KeyPair.withoutForwardSecrecy()), macPublicValue(dhMacKeyC, 1n));
});

test("empty contents are refused", () => {
  throwsSpipedError(
    () => sharedKeyOf(new Uint8Array(0)),
    "SPIPED_KEY_FILE",
    /^the key is empty, and an empty key is not secret$/,
  );
});

test("an id is four groups of digits, the same for the same key, and reveals nothing of K", () => {
  const contents = Buffer.from("the contents of a key file");
  const K = Buffer.from(secretOf(contents));
  const digits = Buffer.from(referenceIdOf(K)).toString("hex");
  assert.equal(keyIdOf(sharedKeyOf(contents)), digits.replaceAll(/(.{4})(?=.)/g, "$1-"));
  assert.match(keyIdOf(sharedKeyOf(contents)), /^[0-9a-f]{4}(-[0-9a-f]{4}){3}$/);
  assert.ok(!K.toString("hex").includes(digits.slice(0, 8)));
});
