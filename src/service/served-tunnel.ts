/**
 * One tunnel of a service, from its configuration to its end: its addresses, its key, what listens, and the key again
 * while it runs. Who calls the steps, and what comes between them, is the service's.
 */

import { closeSync } from "node:fs";
import type { ReadOptions } from "../config/key-file.js";
import type { TunnelConfig } from "../config/tunnel-config.js";
import { SpipedError } from "../errors.js";
import { formatAddress, type ManagedAddress, type SocketAddress } from "../net/address.js";
import type { DescriptorBudget } from "../net/descriptors.js";
import type { InheritedSockets } from "../net/inherited-sockets.js";
import type { ListeningSocket } from "../net/listening-socket.js";
import type { LookupLimits, resolve } from "../net/resolver.js";
import { leadsTo } from "../net/same-address.js";
import { type Log, logOfTunnel } from "../observe/log.js";
import { listeningEntry, severalSourcesEntry, talksToItselfEntry } from "../observe/service-entries.js";
import { isStranger, type TunnelState } from "../observe/state-entries.js";
import { logTunnel, type RecentFailure } from "../observe/tunnel-log.js";
import { assemble, type Endpoints, listen, resolveEndpoints } from "../tunnel/assembly.js";
import type { Tunnel } from "../tunnel/tunnel.js";
import { TunnelKeys } from "./tunnel-keys.js";
import type { TunnelWatcher } from "./watcher.js";

/** What a tunnel of a service is made from. */
export interface TunnelSettings {
  readonly config: TunnelConfig;
  /** Path of the key file, or of a folder of them; `-` for standard input. */
  readonly keyFile: string;
}

/** How far it is. What is undefined is still to come. */
type State =
  | { readonly name: "starting"; readonly ends: Endpoints | undefined; readonly keys: TunnelKeys | undefined }
  | {
      readonly name: "running";
      /** What was listened on; port 0 where the system chose. */
      readonly source: SocketAddress | ManagedAddress;
      readonly tunnel: Tunnel;
      readonly keys: TunnelKeys;
      readonly failures: readonly RecentFailure[];
    }
  | { readonly name: "ended" };

/** See the head of this file. */
export class ServedTunnel {
  readonly config: TunnelConfig;
  readonly keyFile: string;
  readonly #log: Log;
  readonly #watcher: TunnelWatcher | undefined;
  #state: State = { name: "starting", ends: undefined, keys: undefined };
  #reloadWaits = false;

  constructor({ config, keyFile }: TunnelSettings, logOfAll: Log, watcher?: TunnelWatcher) {
    const log = config.name === undefined ? logOfAll : logOfTunnel(logOfAll, config.name);
    this.config = config;
    this.keyFile = keyFile;
    this.#log = log;
    this.#watcher = watcher;
  }

  /** Undefined before it listens, and once it has been told to end before that. */
  get tunnel(): Tunnel | undefined {
    return this.#state.name === "running" ? this.#state.tunnel : undefined;
  }

  /** Connections that are open. */
  get connections(): number {
    return this.tunnel?.connections ?? 0;
  }

  /** The folder of its keys, where it has one. */
  get keyFolder(): string | undefined {
    return this.#state.name === "ended" ? undefined : this.#state.keys?.folder;
  }

  /** What people call it, where it has a name. */
  get label(): string | undefined {
    const { role, name } = this.config;
    return name === undefined ? undefined : `${role}.${name}`;
  }

  /** Where it may listen, or does: as it was looked up, and with the port that the system chose. */
  get sources(): readonly (SocketAddress | ManagedAddress)[] {
    const state = this.#state;
    if (state.name === "starting") return state.ends?.sources ?? [];
    if (state.name === "ended") return [];
    return state.source.kind === "systemd" ? [state.source] : [state.source, state.tunnel.address];
  }

  /**
   * Looks its addresses up.
   *
   * @throws SpipedError as `lookUp` does.
   */
  async lookUp(lookUp?: typeof resolve, limits: LookupLimits = {}): Promise<void> {
    const ends = await resolveEndpoints(this.config, limits, lookUp);
    if (ends.sources.length > 1) {
      const name = formatAddress(this.config.source);
      const first = formatAddress(ends.sources[0]);
      this.#log.write(severalSourcesEntry(name, ends.sources.length, first));
    }
    if (this.#state.name === "starting") this.#state = { ...this.#state, ends };
  }

  /**
   * Reads its key, or its keys.
   *
   * @param options - A descriptor is closed when it is read.
   * @throws SpipedError `SPIPED_KEY_FILE`.
   */
  async readKey(options: Pick<ReadOptions, "descriptor" | "instead" | "limitMs"> = {}): Promise<void> {
    const keys = await TunnelKeys.read(this.keyFile, this.config.role, this.#log, options);
    if (options.descriptor !== undefined) closeSync(options.descriptor);
    if (this.#state.name === "starting") this.#state = { ...this.#state, keys };
    else keys.destroy();
  }

  /**
   * The socket for `listen`, before that. To be called when addresses are there.
   *
   * @throws SpipedError `SPIPED_LISTEN`.
   */
  openSocket(inherited: InheritedSockets): ListeningSocket {
    const state = this.#state;
    if (state.name !== "starting" || state.ends === undefined) {
      throw new SpipedError("SPIPED_STEP", `a tunnel that is ${state.name} opens no socket`);
    }
    return listen(state.ends, this.config.sourceMode, inherited);
  }

  /**
   * Listens; clients wait in the backlog until `start`. To be called when addresses and key are there.
   *
   * @param inherited - What a service manager has handed over.
   * @param socket - What listens already, where there is something.
   * @throws SpipedError `SPIPED_LISTEN`.
   */
  listen(descriptors: DescriptorBudget, inherited: InheritedSockets, socket?: ListeningSocket): void {
    const state = this.#state;
    if (state.name !== "starting" || state.ends === undefined || state.keys === undefined) {
      throw new SpipedError("SPIPED_STEP", `a tunnel that is ${state.name} cannot listen`);
    }
    const { ends, keys } = state;
    const tunnel = assemble(this.config, {
      ends,
      keys: keys.ring,
      socket: socket ?? this.openSocket(inherited),
      descriptors,
    });
    if (ends.targets.some((target) => leadsTo(target, tunnel.address))) {
      this.#log.write(talksToItselfEntry(formatAddress(tunnel.address), formatAddress(this.config.target)));
    }
    const failures = logTunnel(this.#log, tunnel.events);
    this.#watcher?.watch(this.config, tunnel);
    // A folder says whom to end, for as long as there is somebody.
    if (keys.folder === undefined) tunnel.events.once("handshakesOver", () => keys.destroy());
    this.#state = { name: "running", source: ends.sources[0], tunnel, keys, failures };
    if (this.#reloadWaits) void this.reload();
  }

  /**
   * Begins to accept. To be called when it listens.
   *
   * @throws SpipedError `SPIPED_LISTEN`.
   */
  async start(): Promise<void> {
    await this.tunnel?.start();
  }

  /** Says where clients connect. */
  sayListening(): void {
    const { role, target } = this.config;
    if (this.tunnel === undefined) return;
    const addresses = { source: formatAddress(this.tunnel.address), target: formatAddress(target) };
    this.#log.write(listeningEntry(this.status, { role, ...addresses }));
  }

  /** What it does, for people. */
  get status(): string {
    const { role, source, target } = this.config;
    if (this.tunnel === undefined) return `not listening on ${formatAddress(source)} yet`;
    const verb = role === "encrypt" ? "encrypting" : "decrypting";
    const name = source.kind === "systemd" ? ` (${formatAddress(source)})` : "";
    return `listening on ${formatAddress(this.tunnel.address)}${name}, ${verb} to ${formatAddress(target)}`;
  }

  /** What it is doing at this moment, for whoever asks. */
  describe(): TunnelState {
    const { name, role, source, target, maxConnections } = this.config;
    const { tunnel } = this;
    let strangers = 0;
    for (const view of tunnel?.open ?? []) strangers += Number(isStranger(role, view));
    return {
      name,
      state: tunnel?.state.name ?? this.#state.name,
      role,
      source: formatAddress(tunnel?.address ?? source),
      target: formatAddress(target),
      connections: this.connections - strangers,
      strangers,
      limit: maxConnections,
      open: tunnel?.open ?? [],
      failures: this.#state.name === "running" ? this.#state.failures : [],
    };
  }

  /** Has its keys read again; where names are still waited for, once they are known. */
  async reload(): Promise<void> {
    if (this.#state.name === "starting") this.#reloadWaits = true;
    if (this.#state.name !== "running") return;
    const { tunnel, keys } = this.#state;
    // Nobody new comes who would use it; of a folder, a key that is gone ends connections.
    if (isOver(tunnel) && keys.folder === undefined) return;
    await keys.reload({
      endRemoved: () => tunnel.endRemoved(),
      // Of one that ends, another one by its name may say the same.
      reloaded: (successful) => {
        if (!isOver(tunnel)) this.#watcher?.reloaded(this.config, successful);
      },
    });
  }

  /** As `drain`, but the listening socket goes to somebody else; undefined where it does not listen. */
  release(): ListeningSocket | undefined {
    return this.tunnel?.release();
  }

  /** Stops listening; resolves when the last connection has ended. A start is given up. */
  async drain(): Promise<void> {
    const state = this.#state;
    if (state.name === "running") {
      await state.tunnel.drain();
      state.keys.destroy();
    } else {
      if (state.name === "starting") state.keys?.destroy();
      this.#state = { name: "ended" };
    }
  }

  /** Resets what is open. */
  cancel(): void {
    this.tunnel?.cancel();
  }
}

function isOver({ state }: Tunnel): boolean {
  return state.name === "draining" || state.name === "ended";
}
