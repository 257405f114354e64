/**
 * Where a tunnel's connections go: a target that is dialled for each of them, or a stream in a program's hands.
 */

import { type AddonSockets, addonSockets } from "../net/addon-sockets.js";
import type { TcpAddress } from "../net/address.js";
import type { Carrier, Channel } from "../net/channel.js";
import { dial } from "../net/dial.js";
import type { DialOptions } from "../net/dial-options.js";
import { relayRuns } from "./relayed-flow.js";
import type { ConnectionReport } from "./reports.js";
import type { TargetAddresses } from "./target-addresses.js";

/** What the connection has to say about the channel that it wants. */
export type OpenOptions = Pick<DialOptions, "readBuffer" | "exactLength" | "resetOnDeath" | "signal">;

/** The target of one connection. */
export interface Target {
  /**
   * Opens it; called at most once.
   *
   * @throws SpipedError `SPIPED_CONNECT`, `SPIPED_TIMEOUT`, `SPIPED_CANCELLED`.
   */
  open(request: OpenOptions): Promise<Channel>;
  /** Told when data can flow. */
  opened?(): void;
  /** Told once, when nothing of the connection is left. */
  ended?(report: ConnectionReport): void;
}

/** The targets of a tunnel's connections. */
export interface Targets {
  /** The target of the next connection, which came over `source`. */
  next(source: Carrier): Target;
  /** Where connections are handed over to the relay: what has their sockets until then. */
  addonSockets?(): AddonSockets | undefined;
  /** Begins what goes on in the background. */
  start(): void;
  /** Ends it. */
  stop(): void;
}

/** How a target is dialled, whichever connection it is for. */
export type DialSettings = Omit<DialOptions, keyof OpenOptions>;

/** A target that is dialled. */
export function dialledTarget(settings: DialSettings): Target {
  return { open: (request) => dial({ ...settings, ...request }) };
}

/** A target of many that are dialled alike. */
class DialledTarget implements Target {
  readonly #settings: Omit<DialSettings, "addresses" | "name" | "addonSockets">;
  readonly #addresses: DialSettings["addresses"];
  readonly #name: string;
  readonly #addonSockets: AddonSockets | undefined;

  constructor(
    settings: Omit<DialSettings, "addresses" | "name" | "addonSockets">,
    addresses: DialSettings["addresses"],
    name: string,
    addonSockets: AddonSockets | undefined,
  ) {
    this.#settings = settings;
    this.#addresses = addresses;
    this.#name = name;
    this.#addonSockets = addonSockets;
  }

  open(request: OpenOptions): Promise<Channel> {
    const { bind, timeoutMs, keepAlive, descriptors } = this.#settings;
    const { readBuffer, exactLength, resetOnDeath = false, signal } = request;
    // One by one: spreading all of them costs a connection as much as a system call.
    return dial({
      addresses: this.#addresses,
      name: this.#name,
      addonSockets: this.#addonSockets,
      bind,
      timeoutMs,
      keepAlive,
      descriptors,
      readBuffer,
      exactLength,
      resetOnDeath,
      signal,
    });
  }
}

/** A destination that is dialled, and looked up again every so often. */
export class DialledTargets implements Targets {
  readonly #targets: TargetAddresses;
  readonly #settings: Omit<DialSettings, "addresses" | "name" | "addonSockets">;
  readonly #resolveIntervalMs: number;

  constructor(
    targets: TargetAddresses,
    settings: {
      readonly bind: readonly TcpAddress[] | undefined;
      readonly timeoutMs: number;
      readonly keepAlive: boolean;
      readonly descriptors: DialOptions["descriptors"];
      readonly resolveIntervalMs: number;
    },
  ) {
    const { resolveIntervalMs, ...dialSettings } = settings;
    this.#targets = targets;
    this.#settings = dialSettings;
    this.#resolveIntervalMs = resolveIntervalMs;
  }

  next(): Target {
    return new DialledTarget(this.#settings, this.#targets.addresses, this.#targets.name, this.addonSockets());
  }

  addonSockets(): AddonSockets | undefined {
    return relayRuns() ? addonSockets() : undefined;
  }

  start(): void {
    this.#targets.refreshEvery(this.#resolveIntervalMs);
  }

  stop(): void {
    this.#targets.stop();
  }
}
