// One end under test: the reference peer on its encrypted side, the test's own sockets on its cleartext side.

import type { TestContext } from "node:test";
import type { AddressKind } from "./addresses.js";
import { Listener } from "./listener.js";
import { type PeerOptions, ReferencePeer } from "./reference-peer.js";
import { TestSocket } from "./test-socket.js";
import { type Key, newKey, patience, type Spiped, startSpiped } from "./tunnel.js";

export interface OneEndOptions {
  /** The kind of both addresses. */
  readonly kind: AddressKind;
  readonly flags?: readonly string[];
  /** Additional environment variables. */
  readonly env?: Readonly<Record<string, string>>;
}

/** An established connection through one end. */
export interface Established {
  /** On the encrypted side, after the handshake. */
  readonly peer: ReferencePeer;
  /** On the cleartext side: an application for -e, the target for -d. */
  readonly plain: TestSocket;
}

/** Our `spiped -d`, dialed by the reference peer. */
export interface ServerEnd {
  readonly spiped: Spiped;
  readonly target: Listener;
  readonly key: Key;
  /** A connection on which nothing has been sent yet. */
  dial(): Promise<TestSocket>;
  /** A client before its handshake. */
  client(options?: Partial<PeerOptions>): Promise<ReferencePeer>;
  establish(options?: Partial<PeerOptions>): Promise<Established>;
}

/** Our `spiped -e`, answered by the reference peer. */
export interface ClientEnd {
  readonly spiped: Spiped;
  readonly link: Listener;
  readonly key: Key;
  /** An application's connection, and the server that was dialed for it, before its handshake. */
  server(options?: Partial<PeerOptions>): Promise<{ app: TestSocket; peer: ReferencePeer }>;
  establish(options?: Partial<PeerOptions>): Promise<Established>;
}

export async function startServerEnd(
  t: TestContext,
  { kind, flags = patience, env = {} }: OneEndOptions,
): Promise<ServerEnd> {
  const key = await newKey(t);
  const target = await Listener.listen(t, kind);
  const spiped = await startSpiped(t, { end: "-d", source: kind, target: target.address, key, flags, env });
  const dial = (): Promise<TestSocket> => TestSocket.connect(t, spiped.source);
  const client = async (options: Partial<PeerOptions> = {}): Promise<ReferencePeer> =>
    ReferencePeer.client(await dial(), { keyFile: key.bytes, ...options });
  const establish = async (options: Partial<PeerOptions> = {}): Promise<Established> => {
    const peer = await client(options);
    await peer.handshake();
    return { peer, plain: await target.next() };
  };
  return { spiped, target, key, dial, client, establish };
}

export async function startClientEnd(
  t: TestContext,
  { kind, flags = patience, env = {} }: OneEndOptions,
): Promise<ClientEnd> {
  const key = await newKey(t);
  const link = await Listener.listen(t, kind);
  const spiped = await startSpiped(t, { end: "-e", source: kind, target: link.address, key, flags, env });
  const server = async (options: Partial<PeerOptions> = {}): Promise<{ app: TestSocket; peer: ReferencePeer }> => {
    const app = await TestSocket.connect(t, spiped.source);
    return { app, peer: ReferencePeer.server(await link.next(), { keyFile: key.bytes, ...options }) };
  };
  const establish = async (options: Partial<PeerOptions> = {}): Promise<Established> => {
    const { app, peer } = await server(options);
    await peer.handshake();
    return { peer, plain: app };
  };
  return { spiped, link, key, server, establish };
}

/** What both ends have in common after the handshake. */
export interface OneEnd {
  readonly spiped: Spiped;
  /** Establishes connections one after the other: only their order says which sockets belong together. */
  establish(options?: Partial<PeerOptions>): Promise<Established>;
}

/** Both ends on both kinds of sockets. */
export const allEnds = (["-d", "-e"] as const).flatMap((end) =>
  (["tcp", "unix"] as const).map((kind) => ({
    name: `spiped ${end} on ${kind}`,
    end,
    kind,
    start: (t: TestContext, flags?: readonly string[]): Promise<OneEnd> => {
      const options: OneEndOptions = flags === undefined ? { kind } : { kind, flags };
      return end === "-d" ? startServerEnd(t, options) : startClientEnd(t, options);
    },
  })),
);

/** Shows that an established connection carries data both ways. */
export async function isAlive({ peer, plain }: Established): Promise<boolean> {
  const text = "are you there?";
  await peer.send(Buffer.from(text));
  const forward = Buffer.from(await plain.read(text.length)).toString();
  await plain.write(text);
  const reverse = Buffer.from(await peer.receive(text.length)).toString();
  return forward === text && reverse === text;
}
