/**
 * One tunnel of a service, through its whole life: resolve addresses, read keys, listen, accept, reload keys, drain. The
 * supervisor calls these steps.
 */

import { closeSync } from "node:fs";
import type { ReadOptions } from "../config/key-file.js";
import type { TunnelConfig } from "../config/tunnel-config.js";
import { SpipedError } from "../errors.js";
import { type Address, formatAddress, type ManagedAddress, type SocketAddress } from "../net/address.js";
import type { DescriptorBudget } from "../net/descriptors.js";
import type { InheritedSockets } from "../net/inherited-sockets.js";
import type { ListeningSocket } from "../net/listening-socket.js";
import type { TunnelEnds } from "../net/loops.js";
import type { LookupLimits, resolve } from "../net/resolver.js";
import { leadsTo } from "../net/same-address.js";
import { type Log, logOfTunnel } from "../observe/log.js";
import {
  listeningEntry,
  notStartedEntry,
  oldConnectionsCutEntry,
  severalSourcesEntry,
  talksToItselfEntry,
} from "../observe/service-entries.js";
import { isStranger, type TunnelState } from "../observe/state-entries.js";
import { logTunnel, type RecentFailure } from "../observe/tunnel-log.js";
import { assemble, type Endpoints, listen, resolveEndpoints } from "../tunnel/assembly.js";
import type { Tunnel } from "../tunnel/tunnel.js";
import { TunnelKeys } from "./tunnel-keys.js";
import type { TunnelWatcher } from "./watcher.js";

/** The settings of a tunnel. */
export interface TunnelSettings {
  readonly config: TunnelConfig;
  /** The path of a key file or of a folder of them; `-` for standard input. */
  readonly keyFile: string;
}

/**
 * Resolves an address, however often that takes.
 *
 * @param failed - Must be called with the reason after each attempt that failed.
 */
export type RetriedLookup = (address: Address, failed: (why: string) => void) => ReturnType<typeof resolve>;

/** While starting, what is undefined is not known yet. */
type State =
  | { readonly name: "starting"; readonly ends: Endpoints | undefined; readonly keys: TunnelKeys | undefined }
  | {
      readonly name: "running";
      /** As configured and resolved; port 0 if the system was to choose. */
      readonly source: SocketAddress | ManagedAddress;
      /** As resolved before it listened. */
      readonly targets: readonly SocketAddress[];
      readonly tunnel: Tunnel;
      readonly keys: TunnelKeys;
      readonly failures: readonly RecentFailure[];
    }
  | { readonly name: "ended" };

/** A tunnel with its keys and its log. */
export class ServedTunnel {
  readonly config: TunnelConfig;
  readonly keyFile: string;
  readonly #log: Log;
  readonly #watcher: TunnelWatcher | undefined;
  #state: State = { name: "starting", ends: undefined, keys: undefined };
  #reloadWaits = false;
  /** Why names do not resolve, by address. */
  readonly #unresolved = new Map<string, string>();

  constructor({ config, keyFile }: TunnelSettings, logOfAll: Log, watcher?: TunnelWatcher) {
    const log = config.name === undefined ? logOfAll : logOfTunnel(logOfAll, config.name);
    this.config = config;
    this.keyFile = keyFile;
    this.#log = log;
    this.#watcher = watcher;
  }

  /** Undefined before it listens, and after a drain before that. */
  get tunnel(): Tunnel | undefined {
    return this.#state.name === "running" ? this.#state.tunnel : undefined;
  }

  /** The number of open connections. */
  get connections(): number {
    return this.tunnel?.connections ?? 0;
  }

  /** The path of its key folder; undefined for a single key file. */
  get keyFolder(): string | undefined {
    return this.#state.name === "ended" ? undefined : this.#state.keys?.folder;
  }

  /** The addresses it can listen on, as resolved. While it listens, both the configured address and the actual one. */
  get sources(): readonly (SocketAddress | ManagedAddress)[] {
    const state = this.#state;
    if (state.name === "starting") return state.ends?.sources ?? [];
    if (state.name === "ended") return [];
    return state.source.kind === "systemd" ? [state.source] : [state.source, state.tunnel.address];
  }

  /** Where it listens and connects to; undefined unless it listens. */
  get ends(): TunnelEnds | undefined {
    const state = this.#state;
    return state.name === "running" ? { source: state.tunnel.address, targets: state.targets } : undefined;
  }

  /**
   * Resolves the addresses.
   *
   * @throws SpipedError as `lookup` does.
   */
  async lookup(lookup?: RetriedLookup, limits: LookupLimits = {}): Promise<void> {
    const retried = lookup && ((address: Address) => this.#retry(lookup, address));
    const ends = await resolveEndpoints(this.config, limits, retried);
    if (ends.sources.length > 1) {
      const name = formatAddress(this.config.source);
      const first = formatAddress(ends.sources[0]);
      this.#log.write(severalSourcesEntry(name, ends.sources.length, first));
    }
    if (this.#state.name === "starting") this.#state = { ...this.#state, ends };
  }

  async #retry(lookup: RetriedLookup, address: Address): ReturnType<typeof resolve> {
    const name = formatAddress(address);
    const found = await lookup(address, (why) => this.#unresolved.set(name, why));
    this.#unresolved.delete(name);
    return found;
  }

  /**
   * Reads the key or keys.
   *
   * @param options - A descriptor is closed after reading.
   * @throws SpipedError `SPIPED_KEY_FILE`.
   */
  async readKey(options: Pick<ReadOptions, "descriptor" | "instead" | "limitMs" | "reader"> = {}): Promise<void> {
    const keys = await TunnelKeys.read(this.keyFile, this.config.role, this.#log, options);
    if (options.descriptor !== undefined) closeSync(options.descriptor);
    if (this.#state.name === "starting") this.#state = { ...this.#state, keys };
    else keys.destroy();
  }

  /**
   * Opens a socket to pass to `listen` later. Call `lookup` first.
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
   * Listens; clients wait in the backlog until `start`. Call `lookup` and `readKey` first.
   *
   * @param inherited - Sockets passed by a service manager.
   * @param socket - A socket that listens already; if omitted, one is opened.
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
    // The keys of a folder are needed until the last connection ends: a reload can remove its key.
    if (keys.folder === undefined) tunnel.events.once("handshakesOver", () => keys.destroy());
    this.#state = { name: "running", source: ends.sources[0], targets: ends.targets, tunnel, keys, failures };
    if (this.#reloadWaits) void this.reload();
  }

  /**
   * Begins to accept. Call `listen` first.
   *
   * @throws SpipedError `SPIPED_LISTEN`.
   */
  async start(): Promise<void> {
    await this.tunnel?.start();
  }

  /** Logs where the tunnel listens. */
  sayListening(): void {
    const { role, target } = this.config;
    if (this.tunnel === undefined) return;
    const addresses = { source: formatAddress(this.tunnel.address), target: formatAddress(target) };
    this.#log.write(listeningEntry(this.status, { role, ...addresses }));
  }

  /** Logs why the tunnel cannot start after a reload. */
  sayNotStarted(error: unknown): void {
    this.#log.write(notStartedEntry(error));
  }

  /** Logs that a reload ended the tunnel and the drain timeout has reset its open connections. */
  sayCut(limitMs: number): void {
    this.#log.write(oldConnectionsCutEntry(this.connections, limitMs));
  }

  /** The status as text: what it listens on, and where it connects to. */
  get status(): string {
    const { role, source, target } = this.config;
    if (this.tunnel === undefined) return `not listening on ${formatAddress(source)} yet`;
    const verb = role === "encrypt" ? "encrypting" : "decrypting";
    const name = source.kind === "systemd" ? ` (${formatAddress(source)})` : "";
    return `listening on ${formatAddress(this.tunnel.address)}${name}, ${verb} to ${formatAddress(target)}`;
  }

  /** The current state, for SIGUSR1. */
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
      problem: this.#state.name === "starting" ? [...this.#unresolved.values()][0] : undefined,
      keyId: this.#state.name === "running" ? this.#state.keys.id : undefined,
      connections: this.connections - strangers,
      strangers,
      limit: maxConnections,
      open: tunnel?.open ?? [],
      failures: this.#state.name === "running" ? this.#state.failures : [],
    };
  }

  /** Reloads the keys; during the start, as soon as it listens. */
  async reload(): Promise<void> {
    if (this.#state.name === "starting") this.#reloadWaits = true;
    if (this.#state.name !== "running") return;
    const { tunnel, keys } = this.#state;
    // A draining tunnel does not need a new key, but a key removed from a folder must reset its connections.
    if (isOver(tunnel) && keys.folder === undefined) return;
    await keys.reload({
      endRemoved: () => tunnel.endRemoved(),
      // A draining tunnel may share its name with the one that replaced it, which reports for both.
      reloaded: (problem) => {
        if (!isOver(tunnel)) this.#watcher?.reloaded(this.config, problem);
      },
    });
  }

  /** Like `drain`, but returns the listening socket, for another tunnel; undefined if it does not listen. */
  release(): ListeningSocket | undefined {
    return this.tunnel?.release();
  }

  /** Stops listening; resolves when the last connection has ended. Cancels a start. */
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

  /** Resets all open connections. */
  cancel(): void {
    this.tunnel?.cancel();
  }
}

function isOver({ state }: Tunnel): boolean {
  return state.name === "draining" || state.name === "ended";
}
