// A folder of client keys for -d, and a spiped -d that uses it.

import { randomBytes } from "node:crypto";
import { mkdirSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { TestContext } from "node:test";
import type { Address, AddressKind } from "./addresses.js";
import { temporaryFolder } from "./cleanup.js";
import { Listener } from "./listener.js";
import type { Established } from "./one-end.js";
import { type PeerOptions, ReferencePeer } from "./reference-peer.js";
import { TestSocket } from "./test-socket.js";
import { type Key, patience, type Spiped, startSpiped } from "./tunnel.js";

/** Clients' keys, one file `NAME.key` each. */
export class ClientKeys {
  readonly path: string;

  private constructor(path: string) {
    this.path = path;
  }

  static async make(t: TestContext, names: readonly string[]): Promise<ClientKeys> {
    const keys = new ClientKeys(join(await temporaryFolder(t), "keys"));
    mkdirSync(keys.path);
    for (const name of names) keys.add(name);
    return keys;
  }

  /** Writes a client's key; a new one by default. */
  add(name: string, bytes: Uint8Array = randomBytes(32)): Key {
    writeFileSync(this.#pathOf(name), bytes, { mode: 0o600 });
    return { path: this.#pathOf(name), bytes };
  }

  remove(name: string): void {
    rmSync(this.#pathOf(name));
  }

  rename(name: string, other: string): void {
    renameSync(this.#pathOf(name), this.#pathOf(other));
  }

  #pathOf(name: string): string {
    return join(this.path, `${name}.key`);
  }
}

/** Our `spiped -d` with a folder of keys. */
export interface ManyClients {
  readonly spiped: Spiped;
  readonly target: Listener;
  readonly keys: ClientKeys;
  /** A client before its handshake. */
  client(key: Pick<Key, "bytes">, options?: Partial<PeerOptions>): Promise<ReferencePeer>;
  establish(key: Pick<Key, "bytes">): Promise<Established>;
  /** Sends SIGHUP, and waits for the log message about the reload. @returns That message. */
  reload(): Promise<string>;
}

export interface ManyClientsOptions {
  readonly kind?: AddressKind;
  readonly flags?: readonly string[];
  /** Additional environment variables. */
  readonly env?: Readonly<Record<string, string>>;
  /** Where to connect, if not to a listener of the test's. */
  readonly targetAddress?: Address;
}

export async function startForMany(
  t: TestContext,
  keys: ClientKeys,
  { kind = "tcp", flags = [], env = {}, targetAddress }: ManyClientsOptions = {},
): Promise<ManyClients> {
  const target = await Listener.listen(t, kind);
  const key = { path: keys.path, bytes: new Uint8Array(0) };
  const end = "-d";
  const spiped = await startSpiped(t, {
    end,
    source: kind,
    target: targetAddress ?? target.address,
    key,
    flags: [...patience, ...flags],
    env,
  });
  const client = async ({ bytes }: Pick<Key, "bytes">, options: Partial<PeerOptions> = {}) =>
    ReferencePeer.client(await TestSocket.connect(t, spiped.source), { keyFile: bytes, ...options });
  const establish = async (its: Pick<Key, "bytes">) => {
    const peer = await client(its);
    await peer.handshake();
    return { peer, plain: await target.next() };
  };
  let reloads = 0;
  const reload = () => {
    reloads += 1;
    spiped.command.signal("SIGHUP");
    return spiped.command.line(/SIGHUP: (reloaded key folder .*: |.*; keeping all old keys)/, reloads);
  };
  return { spiped, target, keys, client, establish, reload };
}
