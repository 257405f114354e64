/** `createTunnel`: the tunnel behind the command `spiped`, for programs. */

import { EventEmitter } from "node:events";
import type { TunnelConfig } from "../config/tunnel-config.js";
import type { SpipedError } from "../errors.js";
import { formatAddress } from "../net/address.js";
import { KeyRing } from "../protocol/key-ring.js";
import { assemble, listen, resolveEndpoints } from "../tunnel/assembly.js";
import type { ConnectionReport } from "../tunnel/reports.js";
import type { Tunnel } from "../tunnel/tunnel.js";
import { abortError, whenAborted } from "./abort.js";
import { descriptors } from "./descriptors.js";
import type { Key } from "./key.js";
import { emitSafely } from "./listener-errors.js";
import { type CommonOptions, keyInUse, readKey, readOptions, tunnelOptions } from "./options.js";

/** Options of {@link createTunnel}, named after those of `spiped`. */
export interface TunnelOptions extends CommonOptions {
  /** `encrypt`: cleartext comes in and packets go out. `decrypt`: the reverse. */
  readonly role: "encrypt" | "decrypt";
  /** Where to listen: `/path`, `[IP]:port` or `host:port`; port 0 lets the system choose. */
  readonly source: string;
  /** Where to connect. */
  readonly target: string;
  /** Local address of connections to the target, with or without a port. */
  readonly bind?: string;
  /** Maximum number of open connections; further clients wait. Default 100, `Infinity` for no limit. */
  readonly maxConnections?: number;
  /** Time between lookups of the target; default 60,000, `Infinity` for a single lookup. */
  readonly resolveIntervalMs?: number;
  /** Permissions of the file if `source` is a UNIX socket; by default the umask applies. */
  readonly sourceMode?: number;
  /** True to send the client's address to the target in a PROXY header before all data; default false. */
  readonly proxyProtocol?: boolean;
}

/** The events of a {@link SpipedTunnel}. */
export interface TunnelEvents {
  /** A connection has ended. */
  ended: [report: ConnectionReport];
  /** Listening or a lookup has failed for now; the tunnel continues. */
  problem: [error: SpipedError];
  /** The tunnel no longer listens, and all connections have ended. */
  close: [];
}

/** The state of a running tunnel. */
type State =
  | { readonly name: "listening" }
  | { readonly name: "closing"; readonly closed: Promise<void> }
  | { readonly name: "closed" };

/** A running tunnel. */
export class SpipedTunnel extends EventEmitter<TunnelEvents> {
  readonly #tunnel: Tunnel;
  #state: State = { name: "listening" };

  private constructor(tunnel: Tunnel) {
    super();
    this.#tunnel = tunnel;
    tunnel.events
      .on("ended", (report) => this.#tell("ended", report))
      .on("lookupFailed", (error) => this.#tell("problem", error))
      .on("listenFailed", (error) => this.#tell("problem", error));
  }

  /** @internal See `createTunnel`. */
  static async start(options: TunnelOptions): Promise<SpipedTunnel> {
    const { key, signal, ...settings } = readOptions("createTunnel", tunnelOptions, options);
    const config: TunnelConfig = { name: undefined, ...settings };
    const over = new AbortController();
    const abort = () => over.abort(signal && abortError(signal));
    if (signal?.aborted) abort();
    let removeAbortListener = whenAborted(signal, abort);
    try {
      over.signal.throwIfAborted();
      const ends = await resolveEndpoints(config, { signal: over.signal, timeoutMs: config.timeoutMs });
      over.signal.throwIfAborted();
      const keys = KeyRing.of(keyInUse(key));
      const socket = listen(ends, config.sourceMode);
      const tunnel = new SpipedTunnel(assemble(config, { ends, keys, socket, descriptors: descriptors() }));
      try {
        await tunnel.#tunnel.start();
        over.signal.throwIfAborted();
      } catch (error) {
        await tunnel.destroy();
        throw error;
      }
      removeAbortListener();
      removeAbortListener = whenAborted(signal, () => void tunnel.destroy());
      tunnel.once("close", removeAbortListener);
      return tunnel;
    } catch (error) {
      removeAbortListener();
      // Cancel the other lookups.
      over.abort();
      throw error;
    }
  }

  /** The address that clients connect to, with the port that the system chose. */
  get address(): string {
    return formatAddress(this.#tunnel.address);
  }

  /** Number of open connections. */
  get connections(): number {
    return this.#tunnel.connections;
  }

  /** Uses another key for handshakes that begin from now on. The caller destroys the old one. */
  useKey(key: Key): void {
    this.#tunnel.keys.replace([{ name: undefined, key: readKey("key", key).shared }]);
  }

  /** Stops listening; resolves when the last connection has ended. May be called in any state. */
  close(): Promise<void> {
    const state = this.#state;
    switch (state.name) {
      case "listening": {
        const closed = this.#tunnel.drain().then(() => {
          this.#state = { name: "closed" };
          this.#tell("close");
        });
        this.#state = { name: "closing", closed };
        return closed;
      }
      case "closing":
        return state.closed;
      case "closed":
        return Promise.resolve();
    }
  }

  /** Stops listening and ends all connections at once. */
  destroy(): Promise<void> {
    const closed = this.close();
    this.#tunnel.cancel();
    return closed;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.destroy();
  }

  #tell<Name extends keyof TunnelEvents>(name: Name, ...values: TunnelEvents[Name]): void {
    emitSafely(this, name, ...values);
  }
}

/**
 * Starts a tunnel.
 *
 * @returns The tunnel, accepting connections.
 * @throws SpipedError `SPIPED_OPTION`, `SPIPED_ADDRESS`, `SPIPED_RESOLVE`, `SPIPED_TIMEOUT`, `SPIPED_LISTEN`; the
 *   signal's reason.
 */
export function createTunnel(options: TunnelOptions): Promise<SpipedTunnel> {
  return SpipedTunnel.start(options);
}
