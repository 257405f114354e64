/**
 * The interface through which the status collector learns of tunnels and reloads.
 */

import type { TunnelConfig } from "../config/tunnel-config.js";
import type { Tunnel } from "../tunnel/tunnel.js";

/** Is told of each tunnel, and of the results of reloads. */
export interface TunnelWatcher {
  /** A tunnel was configured, or its configuration changed; it does not listen yet. */
  add(config: TunnelConfig): void;
  /** A tunnel listens. */
  watch(config: TunnelConfig, tunnel: Tunnel): void;
  /** A tunnel was removed from the configuration; its connections may still be open. */
  remove(config: TunnelConfig): void;
  /**
   * A reload has finished.
   *
   * @param config - The tunnel whose keys were reloaded; undefined for the configuration file.
   * @param problem - Why not all that was read is in use; undefined if it is.
   */
  reloaded(config: TunnelConfig | undefined, problem: string | undefined): void;
}

/** Tells several watchers. */
export class Watchers implements TunnelWatcher {
  readonly #all: readonly Partial<TunnelWatcher>[];

  constructor(all: readonly Partial<TunnelWatcher>[]) {
    this.#all = all;
  }

  add(config: TunnelConfig): void {
    for (const one of this.#all) one.add?.(config);
  }

  watch(config: TunnelConfig, tunnel: Tunnel): void {
    for (const one of this.#all) one.watch?.(config, tunnel);
  }

  remove(config: TunnelConfig): void {
    for (const one of this.#all) one.remove?.(config);
  }

  reloaded(config: TunnelConfig | undefined, problem: string | undefined): void {
    for (const one of this.#all) one.reloaded?.(config, problem);
  }
}
