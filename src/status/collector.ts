/**
 * Subscribes to tunnels, counts, and takes snapshots, from which the rest of this folder makes metrics, JSON and the page.
 *
 * Statistics belong to a tunnel's name. If a reload replaces a tunnel, its connections and counters stay with the name; if it
 * removes the name, they disappear with the last connection.
 */

import { type Clock, systemClock } from "../clock.js";
import { formatAddress } from "../net/address.js";
import { printableBytes } from "../paths.js";
import type { NamedKey } from "../protocol/key-ring.js";
import { keyIdOf, type SharedKey } from "../protocol/secret.js";
import type { Tunnel } from "../tunnel/tunnel.js";
import { EventLoopDelay } from "./event-loop-delay.js";
import { processFigures } from "./process-figures.js";
import { nameOf, type ShownConfig } from "./shown-config.js";
import type {
  Build,
  KeySnapshot,
  LastReload,
  Snapshot,
  States,
  StatusSource,
  TunnelSnapshot,
  TunnelState,
} from "./snapshot.js";
import { figuresOf, TunnelStatistics } from "./tunnel-statistics.js";

/** The part of a tunnel that is observed. */
export type WatchedTunnel = Pick<Tunnel, "events" | "open" | "state" | "keys">;

/** Tells how the last reload went. */
export interface ReloadSource {
  readonly last: LastReload;
}

/** Options of a collector. */
export interface CollectorOptions {
  readonly build: Build;
  readonly reloads: ReloadSource;
  readonly clock?: Clock;
  /** The time of day, in milliseconds since 1970. */
  readonly timeOfDay?: () => number;
}

interface Entry {
  config: ShownConfig;
  readonly statistics: TunnelStatistics;
  /** Undefined while the tunnel starts. */
  current: WatchedTunnel | undefined;
  /** The current tunnel, and replaced ones that still have connections. */
  readonly tunnels: Set<WatchedTunnel>;
  isRemoved: boolean;
}

/** Statistics of all tunnels of a process. */
export class Collector implements StatusSource {
  readonly #build: Build;
  readonly #timeOfDay: () => number;
  /** Computed once: if it moved when the clock is set, it would look like a restart. */
  readonly #startedAtMs: number;
  readonly #entries = new Map<string, Entry>();
  readonly #keyIds = new WeakMap<SharedKey, string>();
  readonly #eventLoopDelay: EventLoopDelay;
  readonly #reloads: ReloadSource;
  #isStopping = false;

  constructor({ build, reloads, clock = systemClock, timeOfDay = Date.now }: CollectorOptions) {
    this.#build = build;
    this.#timeOfDay = timeOfDay;
    this.#startedAtMs = timeOfDay() - process.uptime() * 1_000;
    this.#reloads = reloads;
    this.#eventLoopDelay = new EventLoopDelay(clock);
    this.#eventLoopDelay.start();
  }

  /** A tunnel was configured, or its configuration changed; it does not listen yet. */
  add(config: ShownConfig): void {
    const name = nameOf(config);
    const known = this.#entries.get(name);
    if (known === undefined) {
      const statistics = new TunnelStatistics(this.#timeOfDay);
      this.#entries.set(name, { config, statistics, current: undefined, tunnels: new Set(), isRemoved: false });
    } else {
      known.config = config;
      known.isRemoved = false;
    }
  }

  /** A tunnel listens. */
  watch(config: ShownConfig, tunnel: WatchedTunnel): void {
    this.add(config);
    const entry = this.#entries.get(nameOf(config));
    if (entry === undefined) return;
    const { statistics, tunnels } = entry;
    entry.current = tunnel;
    tunnels.add(tunnel);
    tunnel.events.on("accepted", () => statistics.addAccepted());
    tunnel.events.on("established", ({ handshakeMs }) => statistics.addHandshake(handshakeMs ?? 0));
    tunnel.events.on("ended", (report) => statistics.addEnded(report));
    tunnel.events.on("lookupFailed", () => statistics.addLookupFailure());
    tunnel.events.on("drained", () => {
      tunnels.delete(tunnel);
      this.#forgetIfGone(entry);
    });
  }

  /** A tunnel was removed from the configuration. */
  remove(config: ShownConfig): void {
    const entry = this.#entries.get(nameOf(config));
    if (entry === undefined) return;
    entry.isRemoved = true;
    this.#forgetIfGone(entry);
  }

  #forgetIfGone(entry: Entry): void {
    if (entry.isRemoved && entry.tunnels.size === 0) this.#entries.delete(nameOf(entry.config));
  }

  /** The process shuts down. */
  stopping(): void {
    this.#isStopping = true;
  }

  /** Stops the timer. */
  close(): void {
    this.#eventLoopDelay.stop();
  }

  snapshot(mostConnections: number): Snapshot {
    return {
      build: this.#build,
      nowMs: this.#timeOfDay(),
      startedAtMs: this.#startedAtMs,
      isStopping: this.#isStopping,
      lastReload: this.#reloads.last,
      process: processFigures(),
      eventLoopDelay: this.#eventLoopDelay.figures,
      tunnels: [...this.#entries].map(([name, entry]) => this.#tunnelSnapshot(name, entry, mostConnections)),
    };
  }

  states(): States {
    const tunnels = [...this.#entries.values()].map((entry) => ({
      state: stateOf(entry),
      isAccepting: isAccepting(entry),
    }));
    return { isStopping: this.#isStopping, tunnels };
  }

  #tunnelSnapshot(name: string, entry: Entry, mostConnections: number): TunnelSnapshot {
    const { config, statistics, current, tunnels } = entry;
    const { role, source, target, maxConnections } = config;
    const open = figuresOf(openOf(tunnels), role, mostConnections);
    return {
      name,
      role,
      source: printableBytes(formatAddress(source)),
      target: printableBytes(formatAddress(target)),
      state: stateOf(entry),
      isAccepting: isAccepting(entry),
      maxConnections,
      open: open.open,
      draining: figuresOf(openOf([...tunnels].filter((tunnel) => tunnel !== current)), role, 0).open,
      strangers: open.strangers,
      accepted: statistics.accepted,
      ended: statistics.ended,
      ...statistics.bytesWith(open),
      handshakes: statistics.handshakes,
      connections: statistics.connections,
      lookupFailures: statistics.lookupFailures,
      keys: (current?.keys.keys ?? []).map((one) => this.#keySnapshot(one)),
      busiest: open.busiest,
      failures: statistics.failures,
    };
  }

  #keySnapshot({ name = "", key }: NamedKey): KeySnapshot {
    const id = this.#keyIds.get(key) ?? keyIdOf(key);
    this.#keyIds.set(key, id);
    return { name, id };
  }
}

function* openOf(
  tunnels: Iterable<WatchedTunnel>,
): Iterable<WatchedTunnel["open"] extends Iterable<infer T> ? T : never> {
  for (const { open } of tunnels) yield* open;
}

/**
 * Without a key no client can connect. At a limit of authenticated connections or descriptors the tunnel is full; at the
 * limit of unauthenticated clients it is not, since they make room within moments.
 */
function isAccepting({ current, isRemoved }: Entry): boolean {
  if (isRemoved || current?.state.name !== "listening" || current.keys.keys.length === 0) return false;
  switch (current.state.waitsFor) {
    case undefined:
    case "strangers":
      return true;
    case "slots":
    case "descriptors":
      return false;
  }
}

function stateOf({ current, isRemoved }: Entry): TunnelState {
  if (isRemoved) return "removed";
  switch (current?.state.name) {
    case undefined:
    case "idle":
    case "starting":
      return "starting";
    case "listening":
      return "listening";
    case "draining":
    case "ended":
      return "draining";
  }
}
