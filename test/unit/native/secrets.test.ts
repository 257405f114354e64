// No secret is visible in anything that JavaScript can print of a handle, or in an error.

import assert from "node:assert/strict";
import { test } from "node:test";
import { inspect } from "node:util";
import { addon } from "#dist/native/native.js";
import { ClientHandshake, ServerHandshake } from "#dist/protocol/handshake.js";
import { Opener, Sealer } from "#dist/protocol/packets.js";
import { dhMacKeysOf, packetKeysOf, secretOf } from "../../support/reference-protocol.js";
import { keyedClient, keyedServer, sharedKeyOf, someNonces } from "../support/handshakes.js";

// No text, or parts of it could stand in any source by chance.
const keyFile = Uint8Array.from({ length: 40 }, (_, index) => 0xb0 + index * 7);
const x = Uint8Array.from({ length: 32 }, (_, index) => 0x80 + index);
const { nonceC, nonceS } = someNonces;
const K = secretOf(keyFile);
const dhMacKeys = dhMacKeysOf(K, nonceC, nonceS);
const packetKeys = packetKeysOf(K, nonceC, nonceS, 1n);

const secrets: Readonly<Record<string, Uint8Array>> = {
  "the key file": keyFile,
  K,
  x,
  dhmac_C: dhMacKeys.client,
  dhmac_S: dhMacKeys.server,
  E_C: packetKeys.client.E,
  H_C: packetKeys.client.H,
  E_S: packetKeys.server.E,
  H_S: packetKeys.server.H,
};

test("the search that the tests below use finds a printed key", () => {
  for (const [name, bytes] of Object.entries(secrets)) {
    for (const holder of [{ bytes }, { deep: { deeper: [{ bytes: Buffer.from(bytes) }] } }, Array.from(bytes)]) {
      assert.notDeepEqual(shownSecrets(holder), [], name);
    }
  }
});

test("no handle shows a secret to inspect, JSON, or a walk over its properties", async () => {
  for (const [name, handle] of Object.entries(await allHandles())) {
    assert.deepEqual(shownSecrets(handle), [], name);
  }
});

test("no handle's clone, as another thread would get it, holds a secret", async () => {
  for (const [name, handle] of Object.entries(await allHandles())) {
    let clone: unknown;
    try {
      clone = structuredClone(handle);
    } catch {
      continue;
    }
    assert.deepEqual(shownSecrets(clone), [], name);
  }
});

test("no error of a wrong call shows a secret", async () => {
  const { sealer, opener, client, sharedKey } = await allHandles();
  const calls: ReadonlyArray<() => unknown> = [
    () => Reflect.apply(Reflect.get(sealer, "seal"), sealer, [new Uint8Array(0), new Uint8Array(0)]),
    () => Reflect.apply(Reflect.get(opener, "open"), opener, [new Uint8Array(1_060), new Uint8Array(1_024)]),
    () => Reflect.apply(Reflect.get(client, "verify"), client, [new Uint8Array(288)]),
    () => Reflect.apply(Reflect.get(client, "verify"), sharedKey, [new Uint8Array(288)]),
  ];
  for (const call of calls) {
    assert.throws(call, (error) => {
      assert.deepEqual(shownSecrets(error), []);
      return true;
    });
  }
});

async function allHandles(): Promise<Readonly<Record<string, object> & Record<Known, object>>> {
  const keyHasher = new addon.KeyHasher();
  keyHasher.update(keyFile);
  const sharedKey = sharedKeyOf(keyFile);
  const client = keyedClient(sharedKey, "off", someNonces);
  const server = keyedServer(sharedKey, "off", someNonces);
  server.verify(client.macedPublic(addon.KeyPair.withoutForwardSecrecy()));
  client.verify(server.macedPublic(addon.KeyPair.withoutForwardSecrecy()));
  const sessionKeys = await server.deriveKeys();
  const { E, H } = packetKeys.client;
  return {
    keyHasher,
    sharedKey,
    client,
    server,
    sessionKeys,
    keyPair: await addon.KeyPair.fromExponent(x),
    sealer: addon.Sealer.fromKeys(E, H, 0n),
    opener: addon.Opener.fromKeys(E, H, 0n),
    wrappedSealer: new Sealer(addon.Sealer.fromKeys(E, H, 0n)),
    wrappedOpener: new Opener(addon.Opener.fromKeys(E, H, 0n)),
    startedClient: new ClientHandshake(sharedKey, "allow"),
    startedServer: new ServerHandshake(sharedKey, "allow"),
  };
}

type Known = "sealer" | "opener" | "client" | "sharedKey";

/** The names of all secrets that can be seen in something. */
function shownSecrets(value: unknown): readonly string[] {
  const texts = [
    inspect(value, {
      showHidden: true,
      depth: Number.POSITIVE_INFINITY,
      maxArrayLength: null,
      maxStringLength: null,
      breakLength: Number.POSITIVE_INFINITY,
      compact: true,
    }),
    JSON.stringify(value) ?? "",
    String(value),
    ...propertiesOf(value),
  ];
  return Object.entries(secrets)
    .filter(([, bytes]) => texts.some((text) => shows(text, bytes)))
    .map(([name]) => name);
}

/** Everything that any property of `value`, hidden or inherited, gives as text. */
function propertiesOf(value: unknown): readonly string[] {
  const texts: string[] = [];
  const owner = Object(value);
  for (let holder: object | null = owner; holder !== null; holder = Object.getPrototypeOf(holder)) {
    for (const name of Reflect.ownKeys(holder)) {
      try {
        const property: unknown = Reflect.get(holder, name, owner);
        texts.push(ArrayBuffer.isView(property) ? hexOf(property) : String(property));
      } catch {
        // A getter that throws shows nothing.
      }
    }
  }
  return texts;
}

/** Whether eight bytes in a row of a secret can be seen in a text, in any usual way to write bytes. */
function shows(text: string, secret: Uint8Array): boolean {
  const squeezed = text.replaceAll(/[\s,]+/g, " ").toLowerCase();
  for (let at = 0; at + 8 <= secret.length; at += 1) {
    const part = Buffer.from(secret.subarray(at, at + 8));
    const decimal = Array.from(part).join(" ");
    const spacedHex = Array.from(part, (byte) => byte.toString(16).padStart(2, "0")).join(" ");
    if (squeezed.includes(part.toString("hex")) || squeezed.includes(spacedHex)) return true;
    if (squeezed.includes(decimal) || text.includes(part.toString("latin1"))) return true;
  }
  return text.includes(Buffer.from(secret).toString("base64"));
}

function hexOf(view: ArrayBufferView): string {
  return Buffer.from(view.buffer, view.byteOffset, view.byteLength).toString("hex");
}
