/**
 * All tunnels of a service, and what they share: the descriptors of the process and its log. Steps are taken for all of
 * them together, so that a mistake in one is known before any of them accepts.
 */

import { DescriptorBudget } from "../net/descriptors.js";
import type { InheritedSockets } from "../net/inherited-sockets.js";
import type { resolve } from "../net/resolver.js";
import type { Log } from "../observe/log.js";
import { ServedTunnel, type TunnelSettings } from "./served-tunnel.js";
import type { TunnelWatcher } from "./watcher.js";

/** What a supervisor is given besides its tunnels. */
export interface SupervisorOptions {
  readonly log: Log;
  /** What a service manager has handed over; the supervisor closes it. */
  readonly inherited: InheritedSockets;
  /** Undefined where nobody watches. */
  readonly watcher?: TunnelWatcher | undefined;
  /** Descriptors that are kept for something else than tunnels. */
  readonly reservedDescriptors?: number;
}

/** See the head of this file. */
export class Supervisor {
  readonly #inherited: InheritedSockets;
  readonly #reservedDescriptors: number;
  readonly #tunnels: ServedTunnel[];
  #descriptors: DescriptorBudget | undefined;

  constructor(
    tunnels: readonly TunnelSettings[],
    { log, inherited, watcher, reservedDescriptors = 0 }: SupervisorOptions,
  ) {
    this.#inherited = inherited;
    this.#reservedDescriptors = reservedDescriptors;
    this.#tunnels = tunnels.map((settings) => new ServedTunnel(settings, log, watcher));
  }

  /** In the order in which they were named. */
  get tunnels(): readonly ServedTunnel[] {
    return this.#tunnels;
  }

  /** Connections that are open, of all tunnels. */
  get connections(): number {
    return this.#tunnels.reduce((sum, { connections }) => sum + connections, 0);
  }

  /** Looks the addresses of all tunnels up. */
  async lookUp(lookUp?: typeof resolve): Promise<void> {
    await Promise.all(this.#tunnels.map((one) => one.lookUp(lookUp)));
  }

  /** Listens for all tunnels; clients wait in the backlog. */
  listen(): void {
    this.#descriptors ??= DescriptorBudget.measure(this.#reservedDescriptors);
    for (const one of this.#tunnels) one.listen(this.#descriptors, this.#inherited);
  }

  /** Begins to accept. */
  async start(): Promise<void> {
    await Promise.all(this.#tunnels.map((one) => one.start()));
  }

  /** What it does, in a line for people. */
  get status(): string {
    const [first, ...others] = this.#tunnels;
    return first !== undefined && others.length === 0 ? first.status : `tunnels: ${this.#tunnels.length}`;
  }

  /** Says where clients connect. */
  sayListening(): void {
    for (const one of this.#tunnels) one.sayListening();
  }

  /** Has keys read again; resolves when that has come to an end, whatever it is. */
  async reload(): Promise<void> {
    await Promise.all(this.#tunnels.map((one) => one.reload()));
  }

  /** Stops listening; resolves when the last connection has ended. */
  async drain(): Promise<void> {
    this.#inherited.close();
    await Promise.all(this.#tunnels.map((one) => one.drain()));
  }

  /** Resets what is open. */
  cancel(): void {
    for (const one of this.#tunnels) one.cancel();
  }
}
