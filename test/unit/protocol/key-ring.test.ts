// The keys of a tunnel: offers to handshakes, renamed keys and removed keys.

import assert from "node:assert/strict";
import { test } from "node:test";
import { addon } from "#dist/native/native.js";
import { ServerHandshake } from "#dist/protocol/handshake.js";
import { type KeyOffer, KeyRing, type NamedKey } from "#dist/protocol/key-ring.js";
import { dhMacKeysOf, macPublicValue, secretOf } from "../../support/reference-protocol.js";
import { throwsCode, throwsSpipedError } from "../support/errors.js";
import { sharedKeyOf } from "../support/handshakes.js";

function named(name: string, keyFile = name): NamedKey {
  return { name, key: sharedKeyOf(Buffer.from(keyFile)) };
}

function ringOf(...names: readonly string[]): KeyRing {
  return new KeyRing(names.map((name) => named(name)));
}

/** The name of the key that a client with this key file has, according to an offer. */
function whoIs({ keys, entries }: KeyOffer, keyFile: string) {
  const nonceC = new Uint8Array(32).fill(7);
  const started = new ServerHandshake(keys, "off");
  const macKeys = dhMacKeysOf(secretOf(Buffer.from(keyFile)), nonceC, started.nonce);
  started.receiveNonce(nonceC);
  started.verify(macPublicValue(macKeys.client, 1n));
  return entries[started.keyIndex ?? -1];
}

test("a ring identifies any number of clients by their keys", () => {
  for (const names of [["alice"], ["alice", "bob"], ["alice", "bob", "carol"]]) {
    const ring = ringOf(...names);
    for (const name of names) assert.equal(whoIs(ring.offer, name)?.name, name);
    throwsSpipedError(() => whoIs(ring.offer, "mallory"), "SPIPED_WRONG_MAC", /wrong MAC/);
  }
});

test("a single key for all clients has no name", () => {
  const { key } = named("all");
  const entry = whoIs(KeyRing.of(key).offer, "all");
  assert.equal(entry?.name, undefined);
  assert.equal(entry?.key, key);
});

test("one offer serves all handshakes until the keys change", () => {
  const ring = ringOf("alice", "bob");
  const { offer } = ring;
  assert.equal(ring.offer, offer);
  ring.update([named("alice"), named("carol")]);
  assert.notEqual(ring.offer, offer);
});

test("a missing key is removed and marked as such; the others stay the same", () => {
  const ring = ringOf("alice", "bob");
  const [alice, bob] = ring.keys;
  assert.deepEqual(ring.update([named("bob"), named("carol")]), { added: ["carol"], removed: ["alice"], renamed: [] });
  assert.ok(alice?.isRemoved && !bob?.isRemoved);
  assert.deepEqual(
    ring.keys.map(({ name }) => name),
    ["bob", "carol"],
  );
  assert.equal(ring.keys[0], bob);
  throwsSpipedError(() => whoIs(ring.offer, "alice"), "SPIPED_WRONG_MAC", /wrong MAC/);
  throwsCode(() => alice?.key.id(), "SPIPED_STEP");
  assert.equal(whoIs(ring.offer, "bob"), bob);
});

test("a key with different contents is a different key, even if its name is the same", () => {
  const ring = ringOf("alice", "bob");
  const [alice] = ring.keys;
  assert.deepEqual(ring.update([named("alice", "new"), named("bob")]), {
    added: ["alice"],
    removed: ["alice"],
    renamed: [],
  });
  assert.ok(alice?.isRemoved);
  assert.equal(whoIs(ring.offer, "new")?.isRemoved, false);
});

test("a key with a new name is renamed, and so are two that swap names", () => {
  const ring = ringOf("alice", "bob");
  const [alice, bob] = ring.keys;
  const changes = ring.update([named("alice", "bob"), named("zoe", "alice")]);
  assert.deepEqual(changes, {
    added: [],
    removed: [],
    renamed: [
      ["bob", "alice"],
      ["alice", "zoe"],
    ],
  });
  assert.deepEqual([alice?.name, bob?.name], ["zoe", "alice"]);
  assert.equal(whoIs(ring.offer, "alice"), alice);
});

test("a key that is passed to an update again stays usable", () => {
  const ring = ringOf("alice", "bob");
  assert.deepEqual(ring.update(ring.keys), { added: [], removed: [], renamed: [] });
  assert.equal(whoIs(ring.offer, "bob")?.name, "bob");
});

test("a second copy of a known key is wiped", () => {
  const ring = ringOf("alice", "bob");
  const copy = named("alice");
  ring.update([copy, named("bob")]);
  throwsCode(() => new ServerHandshake(copy.key, "off"), "SPIPED_STEP");
  assert.equal(whoIs(ring.offer, "alice")?.name, "alice");
});

test("without any keys, no client is identified", () => {
  const ring = ringOf("alice", "bob");
  assert.deepEqual(ring.update([]).removed, ["alice", "bob"]);
  throwsSpipedError(() => whoIs(ring.offer, "alice"), "SPIPED_WRONG_MAC", /wrong MAC/);
});

test("a handshake in progress keeps the keys that it started with", () => {
  const ring = ringOf("alice", "bob");
  const { keys, entries } = ring.offer;
  const started = new ServerHandshake(keys, "off");
  ring.update([named("bob")]);
  const nonceC = new Uint8Array(32).fill(7);
  started.receiveNonce(nonceC);
  started.verify(macPublicValue(dhMacKeysOf(secretOf(Buffer.from("alice")), nonceC, started.nonce).client, 1n));
  // The removal is visible.
  assert.equal(entries[started.keyIndex ?? -1]?.isRemoved, true);
});

test("replaced keys are returned to the caller, and their set is destroyed", () => {
  const ring = ringOf("alice", "bob");
  const { keys } = ring.offer;
  const old = ring.replace([{ name: undefined, key: named("all").key }]);
  assert.equal(old.length, 2);
  assert.ok(keys instanceof addon.KeySet);
  throwsCode(() => new addon.ServerHandshake(keys, "off"), "SPIPED_STEP");
  for (const { key } of old) assert.equal(key.id().length, 8);
});
