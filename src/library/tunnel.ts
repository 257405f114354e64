/**
 * `createTunnel`: what the command `spiped` runs on, for programs.
 */

import { EventEmitter } from "node:events";
import { DEFAULTS } from "../config/tunnel-config.js";
import type { SpipedError } from "../errors.js";
import { formatAddress, parseAddress, parseBindAddress } from "../net/address.js";
import { resolve, resolveBind } from "../net/resolver.js";
import type { ConnectionReport } from "../tunnel/connection.js";
import { DialledDestination } from "../tunnel/destination.js";
import { Tunnel } from "../tunnel/listener.js";
import { Targets } from "../tunnel/targets.js";
import type { Key } from "./key.js";
import { type CommonOptions, descriptors, destroyOnAbort, withDefaults } from "./options.js";

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

/** A tunnel that runs. */
export class SpipedTunnel extends EventEmitter<TunnelEvents> {
  readonly #tunnel: Tunnel;
  #closed: Promise<void> | undefined;

  private constructor(makeTunnel: (self: SpipedTunnel) => Tunnel) {
    super();
    this.#tunnel = makeTunnel(this);
  }

  /** @internal See `createTunnel`. */
  static async start(options: TunnelOptions): Promise<SpipedTunnel> {
    const { role, key, maxConnections = DEFAULTS.maxConnections, signal } = options;
    const { resolveIntervalMs = DEFAULTS.resolveIntervalMs, sourceMode } = options;
    const settings = withDefaults(options);
    const [source, target] = [parseAddress(options.source), parseAddress(options.target)];
    const local = options.bind === undefined ? undefined : parseBindAddress(options.bind);
    const [[first], addresses, bind] = await Promise.all([resolve(source), resolve(target), resolveBind(local)]);
    signal?.throwIfAborted();
    const tunnel = new SpipedTunnel((self) => {
      const targets = new Targets(target, addresses, resolve, {
        lookUpFailed: (error) => self.emit("problem", error),
        addressesChanged: () => undefined,
      });
      const { timeoutMs, keepAlive } = settings;
      const dialling = { bind, timeoutMs, keepAlive, resolveIntervalMs, descriptors: descriptors() };
      return Tunnel.listen(
        { ...settings, role, sourceMode, maxConnections },
        {
          key: key.shared,
          source: first,
          destination: new DialledDestination(targets, dialling),
          descriptors: descriptors(),
          events: {
            connectionEnded: (report) => self.emit("ended", report),
            limitReached: () => undefined,
            descriptorsUsedUp: () => undefined,
            listenFailed: (error) => self.emit("problem", error),
          },
        },
      );
    });
    destroyOnAbort(signal, tunnel);
    await tunnel.#tunnel.accept();
    return tunnel;
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
    this.#tunnel.useKey(key.shared);
  }

  /** Stops listening; resolves when the last connection has ended. */
  close(): Promise<void> {
    this.#closed ??= this.#tunnel.drain().then(() => void this.emit("close"));
    return this.#closed;
  }

  /** Stops listening and ends all connections at once. */
  async destroy(): Promise<void> {
    const closed = this.close();
    this.#tunnel.cancel();
    await closed;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.destroy();
  }
}

/**
 * Starts a tunnel.
 *
 * @returns The tunnel, accepting connections.
 * @throws SpipedError `SPIPED_ADDRESS`, `SPIPED_RESOLVE`, `SPIPED_LISTEN`.
 */
export function createTunnel(options: TunnelOptions): Promise<SpipedTunnel> {
  return SpipedTunnel.start(options);
}
