// The addon's handshake, as far as several tests need it: with given nonces, and both sides against each other.

import { addon, type KeyPair, type SessionKeys, type SharedKey } from "#dist/native/native.js";
import type { ForwardSecrecy } from "#dist/protocol/handshake.js";

/** K of a key file with these contents. */
export function sharedKeyOf(keyFile: Uint8Array): SharedKey {
  const hasher = new addon.KeyHasher();
  hasher.update(keyFile);
  return hasher.finish();
}

/** What both sides know once the nonces are exchanged. */
export interface Nonces {
  readonly nonceC: Uint8Array;
  readonly nonceS: Uint8Array;
}

/** Two nonces that are the same in each run. */
export const someNonces: Nonces = { nonceC: new Uint8Array(32).fill(0xc1), nonceS: new Uint8Array(32).fill(0x5e) };

/** A client that has the server's nonce. */
export function keyedClient(key: SharedKey, forwardSecrecy: ForwardSecrecy, { nonceC, nonceS }: Nonces) {
  const client = new addon.ClientHandshake(key, forwardSecrecy, nonceC);
  client.receiveNonce(nonceS);
  return client;
}

/** A server that has the client's nonce. */
export function keyedServer(key: SharedKey, forwardSecrecy: ForwardSecrecy, { nonceC, nonceS }: Nonces) {
  const server = new addon.ServerHandshake(key, forwardSecrecy, nonceS);
  server.receiveNonce(nonceC);
  return server;
}

/** A key pair that goes with `forwardSecrecy`. */
export async function keyPairFor(forwardSecrecy: ForwardSecrecy): Promise<KeyPair> {
  return forwardSecrecy === "off" ? addon.KeyPair.withoutForwardSecrecy() : addon.KeyPair.generate();
}

/** The keys of both ends of one connection. */
export async function sessionKeys(
  forwardSecrecy: ForwardSecrecy = "off",
): Promise<{ readonly client: SessionKeys; readonly server: SessionKeys }> {
  const key = sharedKeyOf(Uint8Array.of(1, 2, 3));
  const client = keyedClient(key, forwardSecrecy, someNonces);
  const server = keyedServer(key, forwardSecrecy, someNonces);
  server.verify(client.macedPublic(await keyPairFor(forwardSecrecy)));
  client.verify(server.macedPublic(await keyPairFor(forwardSecrecy)));
  return { client: await client.deriveKeys(), server: await server.deriveKeys() };
}
