// The addon's handshake for tests: with given nonces, and both sides against each other.

import { addon, type KeyPair, type SessionKeys, type SharedKey } from "#dist/native/native.js";
import type { ForwardSecrecy } from "#dist/protocol/handshake.js";

/** K of a key file with these contents. */
export function sharedKeyOf(keyFile: Uint8Array): SharedKey {
  const hasher = new addon.KeyHasher();
  hasher.update(keyFile);
  return hasher.finish();
}

/** The nonces of both sides. */
export interface Nonces {
  readonly nonceC: Uint8Array;
  readonly nonceS: Uint8Array;
}

/** Two fixed nonces. */
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

/** A key pair for `forwardSecrecy`. */
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
