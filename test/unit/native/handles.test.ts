// Misuse of the addon's handles: out of order, used up, destroyed. All of it throws and does no other harm.

import assert from "node:assert/strict";
import { test } from "node:test";
import { addon, type ClientHandshake, type KeyPair, type ServerHandshake } from "#dist/native/native.js";
import { rejectsCode, throwsCode } from "../support/errors.js";
import { keyedClient, keyedServer, keyPairFor, sessionKeys, sharedKeyOf, someNonces } from "../support/handshakes.js";

type Handshake = ClientHandshake | ServerHandshake;
type Step = "receiveNonce" | "macedPublic" | "verify" | "deriveKeys";

const key = sharedKeyOf(Buffer.from("key"));
const steps: readonly Step[] = ["receiveNonce", "macedPublic", "verify", "deriveKeys"];

/** The right order of steps of each side, and what makes a side that has taken none. */
const sides = {
  client: {
    order: ["receiveNonce", "macedPublic", "verify", "deriveKeys"],
    start: (): Handshake => new addon.ClientHandshake(key, "off", someNonces.nonceC),
  },
  server: {
    order: ["receiveNonce", "verify", "macedPublic", "deriveKeys"],
    start: (): Handshake => new addon.ServerHandshake(key, "off", someNonces.nonceS),
  },
} as const satisfies Record<string, { readonly order: readonly Step[]; start(): Handshake }>;

for (const name of ["client", "server"] as const) {
  const { order, start } = sides[name];

  for (let taken = 0; taken <= order.length; taken += 1) {
    const next = order[taken];
    const after = taken === 0 ? "at the start" : `after ${order[taken - 1]}`;

    test(`a ${name} ${after} refuses every step but ${next ?? "none"}, and goes on unharmed`, async () => {
      const handshake = start();
      for (const step of order.slice(0, taken)) await take(name, handshake, step);
      for (const step of steps.filter((one) => one !== next)) await refuses(name, handshake, step);
      for (const step of order.slice(taken)) await take(name, handshake, step);
    });

    test(`a ${name} that is destroyed ${after} refuses every step`, async () => {
      const handshake = start();
      for (const step of order.slice(0, taken)) await take(name, handshake, step);
      handshake.destroy();
      for (const step of steps) await refuses(name, handshake, step);
      handshake.destroy();
    });
  }

  test(`a ${name} whose peer showed a wrong MAC is over`, async () => {
    const handshake = start();
    for (const step of order.slice(0, order.indexOf("verify"))) await take(name, handshake, step);
    throwsCode(() => handshake.verify(new Uint8Array(288)), "SPIPED_WRONG_MAC");
    for (const step of steps) await refuses(name, handshake, step);
  });

  test(`a ${name} takes no key pair that another handshake has used`, async () => {
    const keyPair = addon.KeyPair.withoutForwardSecrecy();
    for (const works of [true, false]) {
      const handshake = start();
      for (const step of order.slice(0, order.indexOf("macedPublic"))) await take(name, handshake, step);
      if (works) assert.equal(handshake.macedPublic(keyPair).length, 288);
      else throwsCode(() => handshake.macedPublic(keyPair), "SPIPED_STEP");
    }
  });

  test(`a ${name} takes no key pair that is destroyed`, async () => {
    for (const keyPair of [addon.KeyPair.withoutForwardSecrecy(), await addon.KeyPair.generate()]) {
      const handshake = start();
      for (const step of order.slice(0, order.indexOf("macedPublic"))) await take(name, handshake, step);
      keyPair.destroy();
      throwsCode(() => handshake.macedPublic(keyPair), "SPIPED_STEP");
    }
  });

  for (const [mode, other] of [
    ["off", "allow"],
    ["allow", "off"],
    ["require", "off"],
  ] as const) {
    test(`a ${name} with forward secrecy "${mode}" takes no key pair made for "${other}"`, async () => {
      const handshake = (name === "client" ? keyedClient : keyedServer)(key, mode, someNonces);
      if (name === "server") handshake.verify(await rightPublicValue("client", "allow"));
      const keyPair = await keyPairFor(other);
      throwsCode(() => handshake.macedPublic(keyPair), "SPIPED_STEP");
    });
  }

  test(`a ${name}'s nonce is fresh for each handshake, and stays the same for one`, () => {
    const fresh = () =>
      name === "client" ? new addon.ClientHandshake(key, "off") : new addon.ServerHandshake(key, "off");
    const one = fresh();
    assert.equal(one.nonce.length, 32);
    assert.deepEqual(one.nonce, one.nonce);
    assert.notDeepEqual(one.nonce, fresh().nonce);
    one.nonce.fill(0);
    assert.notDeepEqual(one.nonce, new Uint8Array(32), "the caller has a copy");
  });
}

test("a key hasher that is finished takes nothing more and finishes once", () => {
  const hasher = new addon.KeyHasher();
  hasher.update(new Uint8Array(1));
  hasher.finish();
  throwsCode(() => hasher.update(new Uint8Array(1)), "SPIPED_STEP");
  throwsCode(() => hasher.finish(), "SPIPED_STEP");
});

test("a key hasher that is destroyed takes nothing more and does not finish", () => {
  const hasher = new addon.KeyHasher();
  hasher.update(new Uint8Array(1));
  hasher.destroy();
  hasher.destroy();
  throwsCode(() => hasher.update(new Uint8Array(1)), "SPIPED_STEP");
  throwsCode(() => hasher.finish(), "SPIPED_STEP");
});

test("a shared key that is destroyed begins no handshake, and those that it began go on", async () => {
  const own = sharedKeyOf(Buffer.from("key"));
  const client = keyedClient(own, "off", someNonces);
  own.destroy();
  own.destroy();
  throwsCode(() => new addon.ClientHandshake(own, "off"), "SPIPED_STEP");
  throwsCode(() => new addon.ServerHandshake(own, "off"), "SPIPED_STEP");
  client.macedPublic(addon.KeyPair.withoutForwardSecrecy());
  client.verify(await rightPublicValue("server", "off"));
  await client.deriveKeys();
});

test("session keys give each direction once", async () => {
  const { client } = await sessionKeys();
  client.takeSealer();
  throwsCode(() => client.takeSealer(), "SPIPED_STEP");
  client.takeOpener();
  throwsCode(() => client.takeOpener(), "SPIPED_STEP");
});

test("session keys that have sealed the first data give a sealer that goes on behind it", async () => {
  const { client, server } = await sessionKeys();
  const [first, second, third] = [new Uint8Array(1_060), new Uint8Array(1_060), new Uint8Array(1_060)] as const;
  throwsCode(() => client.sealFirst(new Uint8Array(0), first), "SPIPED_BUFFER");
  throwsCode(() => client.sealFirst(Uint8Array.of(1), new Uint8Array(1_059)), "SPIPED_BUFFER");
  throwsCode(() => client.sealFirst(first.subarray(0, 1), first), "SPIPED_BUFFER");
  assert.equal(client.sealFirst(Uint8Array.of(1), first), 1_060);
  assert.equal(client.sealFirst(Uint8Array.of(2), second), 1_060);
  assert.equal(client.takeSealer().seal(Uint8Array.of(3), third), 1_060);
  throwsCode(() => client.sealFirst(Uint8Array.of(4), new Uint8Array(1_060)), "SPIPED_STEP");
  const opener = server.takeOpener();
  const room = new Uint8Array(3 * 1_024);
  assert.equal(opener.open(Buffer.concat([first, second, third]), room), 3);
  assert.deepEqual([...room.subarray(0, 3)], [1, 2, 3]);
});

test("session keys that are destroyed seal nothing", async () => {
  const { client } = await sessionKeys();
  client.sealFirst(Uint8Array.of(1), new Uint8Array(1_060));
  client.destroy();
  throwsCode(() => client.sealFirst(Uint8Array.of(1), new Uint8Array(1_060)), "SPIPED_STEP");
  throwsCode(() => client.takeSealer(), "SPIPED_STEP");
});

test("session keys that are destroyed give nothing, and what was taken works on", async () => {
  const { client, server } = await sessionKeys();
  const sealer = client.takeSealer();
  client.destroy();
  client.destroy();
  throwsCode(() => client.takeSealer(), "SPIPED_STEP");
  throwsCode(() => client.takeOpener(), "SPIPED_STEP");
  const packet = new Uint8Array(1_060);
  sealer.seal(Uint8Array.of(7), packet);
  assert.equal(server.takeOpener().open(packet, new Uint8Array(1_024)), 1);
});

test("a destroyed sealer seals nothing, and a destroyed opener opens nothing and holds nothing", async () => {
  const { client } = await sessionKeys();
  const [sealer, opener] = [client.takeSealer(), client.takeOpener()];
  opener.open(new Uint8Array(7), new Uint8Array(0));
  for (let times = 0; times < 2; times += 1) {
    sealer.destroy();
    opener.destroy();
    throwsCode(() => sealer.seal(new Uint8Array(1), new Uint8Array(1_060)), "SPIPED_STEP");
    throwsCode(() => opener.open(new Uint8Array(1), new Uint8Array(1_024)), "SPIPED_STEP");
    throwsCode(() => opener.pendingBytes, "SPIPED_STEP");
  }
});

test("an opener that refused a packet refuses right ones too", async () => {
  const { client, server } = await sessionKeys();
  const [sealer, opener] = [client.takeSealer(), server.takeOpener()];
  const packet = new Uint8Array(1_060);
  sealer.seal(Uint8Array.of(7), packet);
  const room = new Uint8Array(1_024);
  throwsCode(() => opener.open(packet.with(0, (packet[0] ?? 0) ^ 1), room), "SPIPED_PACKET_MAC");
  throwsCode(() => opener.open(packet, room), "SPIPED_PACKET_MAC");
});

test("deriving keys continues if its handshake is destroyed meanwhile", async () => {
  const client = keyedClient(key, "off", someNonces);
  client.macedPublic(addon.KeyPair.withoutForwardSecrecy());
  client.verify(await rightPublicValue("server", "off"));
  const keys = client.deriveKeys();
  client.destroy();
  assert.equal((await keys).takeSealer().seal(Uint8Array.of(1), new Uint8Array(1_060)), 1_060);
});

test("handles that only the addon creates cannot be constructed", () => {
  for (const name of ["KeyPair", "SharedKey", "SessionKeys", "Sealer", "Opener"] as const) {
    const made: unknown = addon[name];
    assert.equal(typeof made, "function");
    assert.throws(() => Reflect.construct(Object(made), []), Error, name);
  }
});

test("a method called on another kind of handle throws", async () => {
  const { client } = await sessionKeys();
  const sealer = client.takeSealer();
  const foreign: readonly object[] = [{}, key, client, client.takeOpener(), new addon.KeyHasher()];
  for (const other of foreign) {
    assert.throws(() => Reflect.apply(sealer.seal, other, [new Uint8Array(1), new Uint8Array(1_060)]), Error);
  }
});

test("anything but a byte array for bytes throws", async () => {
  const { client } = await sessionKeys();
  const sealer = client.takeSealer();
  for (const wrong of [undefined, null, 7, "text", [1, 2], {}, new ArrayBuffer(4), new Float64Array(4), Symbol("x")]) {
    assert.throws(() => Reflect.apply(sealer.seal, sealer, [wrong, new Uint8Array(1_060)]), Error);
    assert.throws(() => Reflect.apply(sealer.seal, sealer, [new Uint8Array(1), wrong]), Error);
    const hasher = new addon.KeyHasher();
    assert.throws(() => Reflect.apply(hasher.update, hasher, [wrong]), Error);
  }
  assert.equal(sealer.seal(new Uint8Array(1), new Uint8Array(1_060)), 1_060);
});

async function take(name: "client" | "server", handshake: Handshake, step: Step): Promise<void> {
  switch (step) {
    case "receiveNonce":
      return handshake.receiveNonce(name === "client" ? someNonces.nonceS : someNonces.nonceC);
    case "macedPublic":
      assert.equal(handshake.macedPublic(addon.KeyPair.withoutForwardSecrecy()).length, 288);
      return;
    case "verify":
      return handshake.verify(await rightPublicValue(name === "client" ? "server" : "client", "off"));
    case "deriveKeys": {
      const keys = await handshake.deriveKeys();
      keys.takeSealer();
      keys.takeOpener();
      return;
    }
  }
}

async function refuses(name: "client" | "server", handshake: Handshake, step: Step): Promise<void> {
  await rejectsCode(take(name, handshake, step), "SPIPED_STEP", `${step} is not refused`);
}

/** y ‖ h of the side `name` as the other one receives it. */
async function rightPublicValue(name: "client" | "server", mode: "off" | "allow"): Promise<Uint8Array> {
  const client = keyedClient(key, name === "client" ? mode : "off", someNonces);
  const macedC = client.macedPublic(await keyPairForSide(name === "client", mode));
  if (name === "client") return macedC;
  const server = keyedServer(key, mode, someNonces);
  server.verify(macedC);
  return server.macedPublic(await keyPairForSide(true, mode));
}

async function keyPairForSide(isIts: boolean, mode: "off" | "allow"): Promise<KeyPair> {
  return keyPairFor(isIts ? mode : "off");
}
