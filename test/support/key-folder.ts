// A folder of keys for -d, one for each client, and a spiped -d that takes it.

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

/** Clients' keys, each in a file `NAME.key`. */
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

  /** Writes a client's key, a new one unless it is given. */
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
  /** Sends SIGHUP, and waits until it has said what has become of it. @returns That line. */
  reload(): Promise<string>;
}

export interface ManyClientsOptions {
  readonly kind?: AddressKind;
  readonly flags?: readonly string[];
  /** Variables that are set besides the test's own. */
  readonly env?: Readonly<Record<string, string>>;
  /** Where it connects to, when that is not a listener of the test's. */
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
