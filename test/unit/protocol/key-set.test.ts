// Several keys on the server: which one a client has, and the lifetime of keys and sets.

import assert from "node:assert/strict";
import { test } from "node:test";
import { addon } from "#dist/native/native.js";
import { ServerHandshake } from "#dist/protocol/handshake.js";
import { dhMacKeysOf, macPublicValue, secretOf } from "../../support/reference-protocol.js";
import { throwsCode, throwsSpipedError } from "../support/errors.js";
import { sharedKeyOf } from "../support/handshakes.js";

const keyFiles = ["alice's", "bob's", "carol's"].map((text) => Buffer.from(text));
const [alice, bob] = keyFiles as [Buffer, Buffer];
const peerNonce = new Uint8Array(32).fill(7);

/** A server to which a client with this key file shows y. */
function shownTo(
  keys: InstanceType<typeof addon.KeySet>,
  keyFile: Uint8Array,
  y = 1n,
  mode: "off" | "require" = "off",
) {
  const started = new ServerHandshake(keys, mode);
  const macKeys = dhMacKeysOf(secretOf(keyFile), peerNonce, started.nonce);
  started.receiveNonce(peerNonce);
  return { server: started, verify: () => started.verify(macPublicValue(macKeys.client, y)) };
}

function setOf(files: readonly Uint8Array[]) {
  return new addon.KeySet(files.map(sharedKeyOf));
}

test("a server says which of its keys a client has, in any order of clients", () => {
  const keys = setOf(keyFiles);
  for (const index of [0, 1, 2, 2, 0, 1, 1, 0, 2]) {
    const { server, verify } = shownTo(keys, keyFiles[index] ?? alice);
    assert.equal(server.keyIndex, undefined);
    verify();
    assert.equal(server.keyIndex, index);
  }
});

test("a client with none of the keys is refused, and has no index", () => {
  for (const keys of [setOf(keyFiles), setOf([])]) {
    const { server, verify } = shownTo(keys, Buffer.from("mallory's"));
    throwsSpipedError(verify, "SPIPED_WRONG_MAC", /wrong MAC/);
    assert.equal(server.keyIndex, undefined);
  }
});

test("a client that turns off required forward secrecy is refused, and its key is known", () => {
  const { server, verify } = shownTo(setOf(keyFiles), bob, 1n, "require");
  throwsSpipedError(verify, "SPIPED_FORWARD_SECRECY_REQUIRED", /forward secrecy/);
  assert.equal(server.keyIndex, 1);
});

test("a set outlives its keys' handles, and a handshake outlives its set's handle", () => {
  const handles = keyFiles.map(sharedKeyOf);
  const keys = new addon.KeySet(handles);
  for (const handle of handles) handle.destroy();
  const { server, verify } = shownTo(keys, bob);
  keys.destroy();
  keys.destroy();
  verify();
  assert.equal(server.keyIndex, 1);
  throwsCode(() => new addon.ServerHandshake(keys, "off"), "SPIPED_STEP");
  throwsCode(() => new addon.KeySet(handles), "SPIPED_STEP");
});

test("keys can be compared without exposing their bytes", () => {
  assert.ok(sharedKeyOf(alice).isSame(sharedKeyOf(alice)));
  assert.ok(!sharedKeyOf(alice).isSame(sharedKeyOf(bob)));
  const gone = sharedKeyOf(alice);
  gone.destroy();
  throwsCode(() => gone.isSame(sharedKeyOf(alice)), "SPIPED_STEP");
});

test("handshakes take keys and sets of them, and nothing else", () => {
  for (const wrong of [undefined, {}, [sharedKeyOf(alice)], new addon.KeyHasher()]) {
    assert.throws(() => Reflect.construct(addon.ServerHandshake, [wrong, "off"]));
    assert.throws(() => Reflect.construct(addon.KeySet, [[wrong]]));
  }
});
