/**
 * One frozen value that describes a tunnel, wherever its words came from.
 */

import type { Address, HostAddress, SourceAddress } from "../net/address.js";
import type { ForwardSecrecy } from "../protocol/handshake.js";

/** How one tunnel works. */
export interface TunnelConfig {
  /** What people call it, where there are several; undefined for the one of a command line. */
  readonly name: string | undefined;
  /** `encrypt`: cleartext comes in and packets go out. `decrypt`: the reverse. */
  readonly role: "encrypt" | "decrypt";
  /** Where to listen. */
  readonly source: SourceAddress;
  /** Where to connect. */
  readonly target: Address;
  /** Permissions of the file where `source` is a UNIX socket; undefined leaves them to the umask. */
  readonly sourceMode: number | undefined;
  /** Time between look-ups of the target; `Infinity`: never again. */
  readonly resolveIntervalMs: number;
  /** Local address of connections to the target. */
  readonly bind: HostAddress | undefined;
  readonly forwardSecrecy: ForwardSecrecy;
  readonly keepAlive: boolean;
  /** Whether the target is told who has connected, by a PROXY header ahead of all cleartext. */
  readonly proxyProtocol: boolean;
  /** Most connections at once; `Infinity` for no limit. */
  readonly maxConnections: number;
  /** Time for the connection to the target, and apart from it for the handshake. */
  readonly timeoutMs: number;
}

/** The original's defaults. */
export const DEFAULTS = Object.freeze({
  /** `-n`: most connections at once. */
  maxConnections: 100,
  /** `-o`. */
  timeoutMs: 5_000,
  /** `-r`. */
  resolveIntervalMs: 60_000,
});
