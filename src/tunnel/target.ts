/** Where a tunnel's connections go: a target dialed for each of them, or a stream for the program. */

import { type AddonSockets, addonSockets } from "../net/addon-sockets.js";
import type { TcpAddress } from "../net/address.js";
import type { Carrier, Channel } from "../net/channel.js";
import { dial } from "../net/dial.js";
import type { DialOptions } from "../net/dial-options.js";
import { isRelayAvailable } from "./relayed-flow.js";
import type { ConnectionReport } from "./reports.js";
import type { TargetAddresses } from "./target-addresses.js";

/** The connection's requirements for the target's channel. */
export type OpenOptions = Pick<DialOptions, "readBuffer" | "exactLength" | "resetOnDeath" | "signal">;

/** The target of one connection. */
export interface Target {
  /**
   * Opens it; called at most once.
   *
   * @throws SpipedError `SPIPED_CONNECT`, `SPIPED_TIMEOUT`, `SPIPED_CANCELLED`.
   */
  open(request: OpenOptions): Promise<Channel>;
  /** Called when data can flow. */
  opened?(): void;
  /** Called once, when all resources of the connection have been released. */
  ended?(report: ConnectionReport): void;
}

/** The targets of a tunnel's connections. */
export interface Targets {
  /** The target of the next connection, accepted as `source`. */
  next(source: Carrier): Target;
  /** If connections go to the relay: the owner of their sockets until then. */
  addonSockets?(): AddonSockets | undefined;
  /** Starts background work. */
  start(): void;
  /** Stops background work. */
  stop(): void;
}

/** Dial settings common to all connections. */
export type DialSettings = Omit<DialOptions, keyof OpenOptions>;

/** A target that is dialed. */
export function dialedTarget(settings: DialSettings): Target {
  return { open: (request) => dial({ ...settings, ...request }) };
}

/** One of many targets with the same settings. */
class DialedTarget implements Target {
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
    // Copied one by one: spreading the object costs as much per connection as a system call.
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

/** Targets that are dialed at an address resolved again at intervals. */
export class DialedTargets implements Targets {
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
    return new DialedTarget(this.#settings, this.#targets.addresses, this.#targets.name, this.addonSockets());
  }

  addonSockets(): AddonSockets | undefined {
    return isRelayAvailable() ? addonSockets() : undefined;
  }

  start(): void {
    this.#targets.refreshEvery(this.#resolveIntervalMs);
  }

  stop(): void {
    this.#targets.stop();
  }
}
