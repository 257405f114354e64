/**
 * Listens to tunnels, counts, and gives snapshots: what the rest of this folder makes metrics and pages of.
 *
 * A tunnel is known by its name. Where a reload puts another one in its place, the old one's connections and counters
 * stay with the name; where it takes the name out, everything of it ends with its last connection.
 */

import { type Clock, systemClock } from "../clock.js";
import type { TunnelConfig } from "../config/tunnel-config.js";
import { formatAddress } from "../net/address.js";
import { printableBytes } from "../paths.js";
import type { NamedKey } from "../protocol/key-ring.js";
import { keyIdOf, type SharedKey } from "../protocol/secret.js";
import type { Tunnel } from "../tunnel/tunnel.js";
import { EventLoopDelay } from "./event-loop-delay.js";
import { processFigures } from "./process-figures.js";
import type { Build, KeySnapshot, Snapshot, States, StatusSource, TunnelSnapshot, TunnelState } from "./snapshot.js";
import { figuresOf, TunnelStatistics } from "./tunnel-statistics.js";

/** What of a configuration is shown. */
export type ShownConfig = Pick<TunnelConfig, "name" | "role" | "source" | "target" | "maxConnections">;

/** What of a tunnel is looked at. */
export type WatchedTunnel = Pick<Tunnel, "events" | "open" | "state" | "keys">;

/** What a collector is made of. */
export interface CollectorOptions {
  readonly build: Build;
  readonly clock?: Clock;
  /** The time of day, in milliseconds since 1970. */
  readonly timeOfDay?: () => number;
}

interface Entry {
  config: ShownConfig;
  readonly statistics: TunnelStatistics;
  /** Undefined while it starts. */
  current: WatchedTunnel | undefined;
  /** Those with connections, the current one too. */
  readonly tunnels: Set<WatchedTunnel>;
  isRemoved: boolean;
}

/** See the head of this file. */
export class Collector implements StatusSource {
  readonly #build: Build;
  readonly #timeOfDay: () => number;
  /** Once: clocks are set, and a start that moves looks like another one. */
  readonly #startedAtMs: number;
  readonly #entries = new Map<string, Entry>();
  readonly #keyIds = new WeakMap<SharedKey, string>();
  readonly #eventLoopDelay: EventLoopDelay;
  /** What could not be read again when it was last tried. */
  readonly #mistaken = new Set<string>();
  #lastSuccessAtMs: number;
  #isStopping = false;

  constructor({ build, clock = systemClock, timeOfDay = Date.now }: CollectorOptions) {
    this.#build = build;
    this.#timeOfDay = timeOfDay;
    this.#startedAtMs = timeOfDay() - process.uptime() * 1_000;
    this.#lastSuccessAtMs = timeOfDay();
    this.#eventLoopDelay = new EventLoopDelay(clock);
    this.#eventLoopDelay.start();
  }

  /** A tunnel that is to be, or to be another. */
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

  /** A tunnel that has been added listens from now on. */
  watch(config: ShownConfig, tunnel: WatchedTunnel): void {
    this.add(config);
    const entry = this.#entries.get(nameOf(config));
    if (entry === undefined) return;
    const { statistics, tunnels } = entry;
    entry.current = tunnel;
    this.#mistaken.delete(nameOf(config));
    tunnels.add(tunnel);
    tunnel.events.on("accepted", () => statistics.addAccepted());
    tunnel.events.on("established", ({ handshakeMs }) => statistics.addHandshake(handshakeMs ?? 0));
    tunnel.events.on("ended", (report) => statistics.addEnded(report));
    tunnel.events.on("lookupFailed", () => statistics.addLookUpFailure());
    tunnel.events.on("drained", () => {
      tunnels.delete(tunnel);
      this.#forgetIfGone(entry);
    });
  }

  /** A tunnel that is in no configuration any more. */
  remove(config: ShownConfig): void {
    const entry = this.#entries.get(nameOf(config));
    if (entry === undefined) return;
    entry.isRemoved = true;
    this.#mistaken.delete(nameOf(config));
    this.#forgetIfGone(entry);
  }

  #forgetIfGone(entry: Entry): void {
    if (entry.isRemoved && entry.tunnels.size === 0) this.#entries.delete(nameOf(entry.config));
  }

  /**
   * Something has been read again.
   *
   * @param config - Whose key it was; undefined: the configuration of all.
   * @param successful - Whether it is used from now on.
   */
  reloaded(config: ShownConfig | undefined, successful: boolean): void {
    const what = config === undefined ? "" : nameOf(config);
    if (successful) this.#mistaken.delete(what);
    else this.#mistaken.add(what);
    if (this.#mistaken.size === 0) this.#lastSuccessAtMs = this.#timeOfDay();
  }

  /** The process is to end. */
  stopping(): void {
    this.#isStopping = true;
  }

  /** Looks at nothing any more. */
  close(): void {
    this.#eventLoopDelay.stop();
  }

  snapshot(mostConnections: number): Snapshot {
    return {
      build: this.#build,
      nowMs: this.#timeOfDay(),
      startedAtMs: this.#startedAtMs,
      isStopping: this.#isStopping,
      lastReload: { successful: this.#mistaken.size === 0, lastSuccessAtMs: this.#lastSuccessAtMs },
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
      lookUpFailures: statistics.lookUpFailures,
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

/** What a tunnel is called in labels: its table's name, or its source. */
export function nameOf({ name, source }: Pick<ShownConfig, "name" | "source">): string {
  return name ?? printableBytes(formatAddress(source));
}

function* openOf(
  tunnels: Iterable<WatchedTunnel>,
): Iterable<WatchedTunnel["open"] extends Iterable<infer T> ? T : never> {
  for (const { open } of tunnels) yield* open;
}

/** Nobody can connect without a key. Places and descriptors are lacking for as long as friends have them; strangers make way in a moment. */
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
