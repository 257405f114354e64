// A connection under test after its handshake: the reference peer on its encrypted side, cleartext on the other.

import assert from "node:assert/strict";
import type { TestContext } from "node:test";
import type { ConnectionOptions } from "#dist/tunnel/connection.js";
import { Listener } from "../../support/listener.js";
import { type PeerOptions, ReferencePeer } from "../../support/reference-peer.js";
import type { TestSocket } from "../../support/test-socket.js";
import { keyFile, type Running, runConnection, socketAddressOf } from "./connections.js";

/** An established connection: the reference peer on the encrypted side, cleartext on the other. */
export interface Established extends Running {
  readonly peer: ReferencePeer;
  readonly plain: TestSocket;
  /** The target as the test has it. */
  readonly target: TestSocket;
}

/** A connection that has completed its handshake and carried `hello` each way. */
export async function established(
  t: TestContext,
  role: "encrypt" | "decrypt",
  options: Partial<ConnectionOptions> & { readonly kind?: "tcp" | "unix" } = {},
): Promise<Established> {
  const listener = await Listener.listen(t, options.kind ?? "tcp");
  const running = await runConnection(t, role, [socketAddressOf(listener.address)], options);
  if (role === "encrypt") {
    const target = await listener.next();
    const peer = ReferencePeer.server(target, peerOptions());
    await peer.handshake();
    return alive({ ...running, peer, plain: running.dialer, target });
  }
  const peer = ReferencePeer.client(running.dialer, peerOptions());
  await peer.handshake();
  const target = await listener.next();
  return alive({ ...running, peer, plain: target, target });
}

/** The data that an established connection has carried each way. */
export const hello = "hello";

/** Sends `hello` each way, so that both sides are known to be established. */
async function alive(connection: Established): Promise<Established> {
  const { peer, plain } = connection;
  await peer.send(Buffer.from(hello));
  assert.equal(Buffer.from(await plain.read(hello.length)).toString(), hello);
  await plain.write(hello);
  assert.equal(Buffer.from(await peer.receive(hello.length)).toString(), hello);
  return connection;
}

/** A peer without forward secrecy that has the right key. */
export function peerOptions(options: Partial<PeerOptions> = {}): PeerOptions {
  return { keyFile, x: 0n, ...options };
}
