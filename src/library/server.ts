/**
 * `createServer`: the other side of `connect`, of `spiped -e` and of `spipe`. Each client that has the key becomes a
 * stream; the others never reach the program.
 */

import { EventEmitter } from "node:events";
import { DEFAULTS } from "../config/tunnel-config.js";
import { SpipedError } from "../errors.js";
import { formatAddress, parseAddress } from "../net/address.js";
import type { Carrier } from "../net/channel.js";
import { resolve } from "../net/resolver.js";
import type { ConnectionReport } from "../tunnel/connection.js";
import type { ConnectionTarget, Destination } from "../tunnel/destination.js";
import { Tunnel } from "../tunnel/listener.js";
import type { Key } from "./key.js";
import { type CommonOptions, descriptors, destroyOnAbort, withDefaults } from "./options.js";
import { TunnelStream } from "./tunnel-stream.js";

/** What {@link createServer} takes. */
export interface ServerOptions extends CommonOptions {
  /** Most connections at once; further clients wait. 100 where it is left out, `Infinity` for no limit. */
  readonly maxConnections?: number;
  /** True, as with `http.createServer`, to go on writing when a client has ended; false ends the stream then. */
  readonly allowHalfOpen?: boolean;
}

/** The events of a {@link SpipedServer}. */
export interface ServerEvents {
  /** Clients can connect. */
  listening: [];
  /** A client that has the key. */
  connection: [stream: TunnelStream];
  /** A connection has ended, whether it became a stream or failed before. */
  ended: [report: ConnectionReport];
  /** Something is wrong with listening; the server goes on. */
  problem: [error: SpipedError];
  /** The server no longer listens, and all connections have ended. */
  close: [];
}

/** Accepts encrypted connections. */
export class SpipedServer extends EventEmitter<ServerEvents> {
  readonly #options: ServerOptions;
  #key: Key;
  #starting = false;
  #tunnel: Tunnel | undefined;
  #closed: Promise<void> | undefined;

  /** @internal Made by `createServer`. */
  constructor(options: ServerOptions) {
    super();
    this.#options = options;
    this.#key = options.key;
    withDefaults(options);
  }

  /** Where clients connect, as `connect` takes it; undefined while the server does not listen. */
  get address(): string | undefined {
    if (this.#tunnel === undefined || this.#closed !== undefined) return undefined;
    return formatAddress(this.#tunnel.address);
  }

  /** Connections that are open. */
  get connections(): number {
    return this.#tunnel?.connections ?? 0;
  }

  /**
   * Listens on `/path`, `[IP]:port` or `host:port`; port 0 lets the system choose.
   *
   * @returns This server, listening.
   * @throws SpipedError `SPIPED_ADDRESS`, `SPIPED_RESOLVE`, `SPIPED_LISTEN`, the last also where it listens already.
   */
  async listen(source: string): Promise<this> {
    if (this.#starting || this.address !== undefined) {
      throw new SpipedError("SPIPED_LISTEN", "this server listens already");
    }
    this.#starting = true;
    try {
      await this.#start(source);
    } finally {
      this.#starting = false;
    }
    this.emit("listening");
    return this;
  }

  async #start(source: string): Promise<void> {
    const { maxConnections = DEFAULTS.maxConnections, signal } = this.#options;
    const [first] = await resolve(parseAddress(source));
    signal?.throwIfAborted();
    const config = { ...withDefaults(this.#options), role: "decrypt", sourceMode: undefined, maxConnections } as const;
    const tunnel = Tunnel.listen(config, {
      key: this.#key.shared,
      source: first,
      destination: this.#streams(),
      descriptors: descriptors(),
      events: {
        connectionEnded: (report) => this.emit("ended", report),
        limitReached: () => undefined,
        descriptorsUsedUp: () => undefined,
        listenFailed: (error) => this.emit("problem", error),
      },
    });
    this.#tunnel = tunnel;
    this.#closed = undefined;
    destroyOnAbort(signal, this);
    await tunnel.accept();
  }

  /** Takes another key for handshakes that begin from now on. The old one stays the caller's, to be destroyed. */
  useKey(key: Key): void {
    this.#key = key;
    this.#tunnel?.useKey(key.shared);
  }

  /** Stops listening; resolves when the last connection has ended. */
  close(): Promise<void> {
    this.#closed ??= this.#drain();
    return this.#closed;
  }

  /** Stops listening and ends all connections at once. */
  async destroy(): Promise<void> {
    const closed = this.close();
    this.#tunnel?.cancel();
    await closed;
  }

  async #drain(): Promise<void> {
    if (this.#tunnel === undefined) return;
    await this.#tunnel.drain();
    this.emit("close");
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.destroy();
  }

  /** The streams of all clients from now on, until the server is closed. */
  async *[Symbol.asyncIterator](): AsyncGenerator<TunnelStream, void, void> {
    const waiting: TunnelStream[] = [];
    let wake: () => void = () => undefined;
    let closed = false;
    const take = (stream: TunnelStream) => {
      waiting.push(stream);
      wake();
    };
    const end = () => {
      closed = true;
      wake();
    };
    this.on("connection", take);
    this.once("close", end);
    try {
      for (;;) {
        const stream = waiting.shift();
        if (stream !== undefined) yield stream;
        else if (closed) return;
        else await new Promise<void>((resolveWake) => (wake = resolveWake));
      }
    } finally {
      this.off("connection", take);
      this.off("close", end);
    }
  }

  /** Each connection's target is a stream in the program's hands. */
  #streams(): Destination {
    const next = (source: Carrier): ConnectionTarget => {
      let stream: TunnelStream | undefined;
      return {
        open: async () => {
          stream = new TunnelStream("this program", this.#options.allowHalfOpen ?? true);
          stream.carriedBy(source);
          return stream.channel;
        },
        opened: () => {
          if (stream === undefined) return;
          stream.opened();
          this.emit("connection", stream);
        },
        ended: (report) => {
          // Nobody has seen a stream that was not opened, so nobody would hear its error.
          if (stream?.connected) stream.ended(report);
          else stream?.destroy();
        },
      };
    };
    return { next, start: () => undefined, stop: () => undefined };
  }
}

/**
 * Makes a server; `listen` starts it.
 *
 * @param onConnection - Listens to `connection`.
 */
export function createServer(options: ServerOptions, onConnection?: (stream: TunnelStream) => void): SpipedServer {
  const server = new SpipedServer(options);
  if (onConnection !== undefined) server.on("connection", onConnection);
  return server;
}
