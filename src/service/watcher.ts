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
   * @param successful - Whether what was read is now in use.
   */
  reloaded(config: TunnelConfig | undefined, successful: boolean): void;
}
