/**
 * Who looks at tunnels from outside: at their configuration, at themselves once they listen, and at how reloads go.
 */

import type { TunnelConfig } from "../config/tunnel-config.js";
import type { Tunnel } from "../tunnel/tunnel.js";

/** See the head of this file. */
export interface TunnelWatcher {
  /** A tunnel that is to be, or to be another. */
  add(config: TunnelConfig): void;
  /** A tunnel that has been added listens from now on. */
  watch(config: TunnelConfig, tunnel: Tunnel): void;
  /** A tunnel that is in no configuration any more; its connections may go on. */
  remove(config: TunnelConfig): void;
  /**
   * Something has been read again.
   *
   * @param config - Whose key it was; undefined: the configuration of all.
   * @param successful - Whether it is used from now on.
   */
  reloaded(config: TunnelConfig | undefined, successful: boolean): void;
}
