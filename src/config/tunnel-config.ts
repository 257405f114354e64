/**
 * The configuration of a tunnel. It is the same for the command line, the environment and a file.
 */

import type { Address, HostAddress, SourceAddress } from "../net/address.js";
import type { ForwardSecrecy } from "../protocol/handshake.js";

/** The configuration of one tunnel. */
export interface TunnelConfig {
  /** Its name in the configuration file; undefined for the tunnel of a command line. */
  readonly name: string | undefined;
  /** `encrypt`: cleartext comes in and packets go out. `decrypt`: the reverse. */
  readonly role: "encrypt" | "decrypt";
  /** Where to listen. */
  readonly source: SourceAddress;
  /** Where to connect. */
  readonly target: Address;
  /** Permissions of the file if `source` is a UNIX socket; undefined applies the umask. */
  readonly sourceMode: number | undefined;
  /** Time between lookups of the target; `Infinity` to look it up once. */
  readonly resolveIntervalMs: number;
  /** Local address of connections to the target. */
  readonly bind: HostAddress | undefined;
  readonly forwardSecrecy: ForwardSecrecy;
  readonly keepAlive: boolean;
  /** Whether the target gets the client's address in a PROXY header, before all cleartext. */
  readonly proxyProtocol: boolean;
  /** The connection limit; `Infinity` for none. */
  readonly maxConnections: number;
  /** The time limit of dialing the target, and, separately, of the handshake. */
  readonly timeoutMs: number;
}

/** The defaults of the C original. */
export const DEFAULTS = Object.freeze({
  /** `-n`. */
  maxConnections: 100,
  /** `-o`. */
  timeoutMs: 5_000,
  /** `-r`. */
  resolveIntervalMs: 60_000,
});
