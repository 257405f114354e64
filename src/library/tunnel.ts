/**
 * `createTunnel`: what the command `spiped` runs on, for programs.
 */

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

/** What {@link createTunnel} takes: the flags of `spiped` by their names. */
export interface TunnelOptions extends CommonOptions {
  /** `encrypt`: cleartext comes in and packets go out. `decrypt`: the reverse. */
  readonly role: "encrypt" | "decrypt";
  /** Where to listen: `/path`, `[IP]:port` or `host:port`; port 0 lets the system choose. */
  readonly source: string;
  /** Where to connect. */
  readonly target: string;
  /** Local address of connections to the target, with or without a port. */
  readonly bind?: string;
  /** Most connections at once; further clients wait. 100 where it is left out, `Infinity` for no limit. */
  readonly maxConnections?: number;
  /** Time between look-ups of the target; 60,000 where it is left out, `Infinity`: once only. */
  readonly resolveIntervalMs?: number;
  /** Permissions of the file where `source` is a UNIX socket; undefined leaves them to the umask. */
  readonly sourceMode?: number;
  /** True to tell the target who has connected, by a PROXY header ahead of all cleartext; false where it is left out. */
  readonly proxyProtocol?: boolean;
}

/** The events of a {@link SpipedTunnel}. */
export interface TunnelEvents {
  /** A connection has ended, for this reason. */
  ended: [report: ConnectionReport];
  /** Something is wrong with listening or with a look-up; the tunnel goes on. */
  problem: [error: SpipedError];
  /** The tunnel no longer listens, and all connections have ended. */
  close: [];
}

/** How far a tunnel is that runs. */
type State =
  | { readonly name: "listening" }
  | { readonly name: "closing"; readonly closed: Promise<void> }
  | { readonly name: "closed" };

/** A tunnel that runs. */
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
    let letGoOfSignal = whenAborted(signal, abort);
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
      letGoOfSignal();
      letGoOfSignal = whenAborted(signal, () => void tunnel.destroy());
      tunnel.once("close", letGoOfSignal);
      return tunnel;
    } catch (error) {
      letGoOfSignal();
      // What else is looked up is not waited for.
      over.abort();
      throw error;
    }
  }

  /** Where clients connect, with the port that the system chose. */
  get address(): string {
    return formatAddress(this.#tunnel.address);
  }

  /** Connections that are open. */
  get connections(): number {
    return this.#tunnel.connections;
  }

  /** Takes another key for handshakes that begin from now on. The old one stays the caller's, to be destroyed. */
  useKey(key: Key): void {
    this.#tunnel.keys.replace([{ name: undefined, key: readKey("key", key).shared }]);
  }

  /** Stops listening; resolves when the last connection has ended. Harmless in every state. */
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

  /** Emits an event. */
  #tell<Name extends keyof TunnelEvents>(name: Name, ...values: TunnelEvents[Name]): void {
    emitSafely(this, name, ...values);
  }
}

/**
 * Starts a tunnel.
 *
 * @returns The tunnel, accepting connections.
 * @throws SpipedError `SPIPED_OPTION`, `SPIPED_ADDRESS`, `SPIPED_RESOLVE`, `SPIPED_TIMEOUT`, `SPIPED_LISTEN`; the reason
 *   of the signal.
 */
export function createTunnel(options: TunnelOptions): Promise<SpipedTunnel> {
  return SpipedTunnel.start(options);
}
