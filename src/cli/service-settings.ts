/**
 * What a service is told by the words of its start, once they have been understood.
 */

import type { Address } from "../net/address.js";
import type { TunnelSettings } from "../service/served-tunnel.js";
import type { FlowSettings } from "../tunnel/flow-settings.js";
import type { ConfigInUse } from "./config-reload.js";
import type { ReportReady } from "./daemon.js";

/** What `spiped` was told. */
export interface ServiceSettings {
  /** One of the command line, or those of a file. */
  readonly tunnels: readonly TunnelSettings[];
  /** Undefined where there is no `--config`. */
  readonly file: ConfigInUse | undefined;
  /** The key file, open already, where the first process has opened it. It is closed when it is read. */
  readonly keyDescriptor: number | undefined;
  /** `-D`: failed look-ups are retried, after everything that can be checked without them. */
  readonly waitsForLookUps: boolean;
  /** Undefined in the foreground. */
  readonly pidFile: string | undefined;
  /** The words of `-u`. */
  readonly user: string | undefined;
  /** How long open connections may go on after SIGTERM; `Infinity` for no limit. */
  readonly drainTimeoutMs: number;
  readonly syslog: boolean;
  /** Where the status is answered; undefined: nowhere. */
  readonly status: Address | undefined;
  /** How packets are moved, as far as it was said. */
  readonly flows: Partial<FlowSettings>;
  /** Tells whoever waits for the daemon; undefined in the foreground. */
  readonly reportReady: ReportReady | undefined;
  /** What its owner should know of the words. */
  readonly warnings: readonly string[];
}
