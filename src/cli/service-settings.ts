/**
 * The settings of a service, as parsed from arguments, environment and files.
 */

import type { Address } from "../net/address.js";
import type { TunnelSettings } from "../service/served-tunnel.js";
import type { FlowSettings } from "../tunnel/flow-settings.js";
import type { ConfigInUse } from "./config-reload.js";
import type { ReportReady } from "./daemon.js";

/** The settings of `spiped`. */
export interface ServiceSettings {
  /** The one of the command line, or those of a file. */
  readonly tunnels: readonly TunnelSettings[];
  /** Undefined without `--config`. */
  readonly file: ConfigInUse | undefined;
  /** The descriptor of the key file, if the first process has opened it. Closed after reading. */
  readonly keyDescriptor: number | undefined;
  /** `-D`: report ready before names are looked up, and retry failed lookups. */
  readonly waitsForLookups: boolean;
  /** Undefined in the foreground, where there is none. */
  readonly pidFile: string | undefined;
  /** The value of `-u`. */
  readonly user: string | undefined;
  /** How long open connections may continue after SIGTERM; `Infinity` for no limit. */
  readonly drainTimeoutMs: number;
  readonly syslog: boolean;
  /** The address of the status server; undefined for none. */
  readonly status: Address | undefined;
  /** How packets are moved. */
  readonly flows: Partial<FlowSettings>;
  /** Reports that the daemon is ready; undefined in the foreground. */
  readonly reportReady: ReportReady | undefined;
  /** Warnings about the arguments and the environment, to be logged at startup. */
  readonly warnings: readonly string[];
}
