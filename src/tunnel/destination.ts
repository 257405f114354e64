/**
 * Where a tunnel's connections go: a target that is dialled for each of them, or a stream in a program's hands.
 */

import type { TcpAddress } from "../net/address.js";
import type { Carrier, Channel } from "../net/channel.js";
import { type DialOptions, dial } from "../net/dial.js";
import type { ConnectionReport } from "./connection.js";
import { prepareRelay } from "./relayed-flow.js";
import type { Targets } from "./targets.js";

/** What the connection has to say about the channel that it wants. */
export type TargetRequest = Pick<DialOptions, "readBuffer" | "exactLength" | "resetOnDeath" | "signal">;

/** The target of one connection. */
export interface ConnectionTarget {
  /**
   * Opens it; called at most once.
   *
   * @throws SpipedError `SPIPED_CONNECT`, `SPIPED_TIMEOUT`, `SPIPED_CANCELLED`.
   */
  open(request: TargetRequest): Promise<Channel>;
  /** Told when data can flow. */
  opened?(): void;
  /** Told once, when nothing of the connection is left. */
  ended?(report: ConnectionReport): void;
}

/** The targets of a tunnel's connections. */
export interface Destination {
  /** The target of the next connection, which came over `source`. */
  next(source: Carrier): ConnectionTarget;
  /** Begins what goes on in the background. */
  start(): void;
  /** Ends it. */
  stop(): void;
}

/** How a target is dialled, whichever connection it is for. */
export type DialSettings = Omit<DialOptions, keyof TargetRequest>;

/** A target that is dialled. */
export function dialled(settings: DialSettings): ConnectionTarget {
  return { open: (request) => dial({ ...settings, ...request }) };
}

/** A destination that is dialled, and looked up again every so often. */
export class DialledDestination implements Destination {
  readonly #targets: Targets;
  readonly #settings: Omit<DialSettings, "addresses" | "name">;
  readonly #resolveIntervalMs: number;

  constructor(
    targets: Targets,
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

  next(): ConnectionTarget {
    return dialled({ ...this.#settings, addresses: this.#targets.addresses, name: this.#targets.name });
  }

  start(): void {
    prepareRelay();
    this.#targets.refreshEvery(this.#resolveIntervalMs);
  }

  stop(): void {
    this.#targets.stop();
  }
}
