/**
 * `createServer`: the server side of `connect`, of `spiped -e` and of `spipe`. Each client that has the key becomes a
 * stream; unauthenticated clients never reach the program.
 */

import { EventEmitter } from "node:events";
import { SpipedError } from "../errors.js";
import { formatAddress, parseAddress } from "../net/address.js";
import type { Carrier } from "../net/channel.js";
import { ListeningSocket } from "../net/listening-socket.js";
import { resolve } from "../net/resolver.js";
import { KeyRing } from "../protocol/key-ring.js";
import { TunnelEmitter } from "../tunnel/events.js";
import type { ConnectionReport } from "../tunnel/reports.js";
import type { Target, Targets } from "../tunnel/target.js";
import { Tunnel } from "../tunnel/tunnel.js";
import { abortError, whenAborted } from "./abort.js";
import { invalidOption, text } from "./checks.js";
import { descriptors } from "./descriptors.js";
import type { Key } from "./key.js";
import { emitSafely } from "./listener-errors.js";
import { type Checked, type CommonOptions, keyInUse, readKey, readOptions, serverOptions } from "./options.js";
import { StreamQueue } from "./stream-queue.js";
import { TunnelStream } from "./tunnel-stream.js";

/** Options of {@link createServer}. */
export interface ServerOptions extends CommonOptions {
  /** Maximum number of open connections; further clients wait. Default 100, `Infinity` for no limit. */
  readonly maxConnections?: number;
  /** True, as with `http.createServer`, to allow writing after a client has ended; false ends the stream then. */
  readonly allowHalfOpen?: boolean;
}

/** The events of a {@link SpipedServer}. */
export interface ServerEvents {
  /** Clients can connect. */
  listening: [];
  /** An authenticated client. */
  connection: [stream: TunnelStream];
  /** A connection has ended, before or after it became a stream. */
  ended: [report: ConnectionReport];
  /** Listening has failed for now; the server continues. */
  problem: [error: SpipedError];
  /** The server no longer listens, and all connections have ended. */
  close: [];
}

/**
 * The server's state: idle or closed → starting → listening → closing → closed. A start that fails goes back to idle;
 * one that is cancelled goes on to closing.
 */
type State =
  | { readonly name: "idle" }
  /** `over` cancels the start; `settled` resolves when the start has succeeded, failed or been cancelled. */
  | { readonly name: "starting"; readonly over: AbortController; readonly settled: Promise<void> }
  | { readonly name: "listening"; readonly tunnel: Tunnel }
  /** `tunnel` is undefined if it never listened. */
  | { readonly name: "closing"; readonly tunnel: Tunnel | undefined; readonly closed: Promise<void> }
  | { readonly name: "closed" };

/** Accepts encrypted connections. */
export class SpipedServer extends EventEmitter<ServerEvents> {
  readonly #options: Checked<typeof serverOptions>;
  readonly #queue = new StreamQueue();
  #key: Key;
  #state: State = { name: "idle" };
  #removeAbortListener: (() => void) | undefined;

  private constructor(options: ServerOptions) {
    super();
    this.#options = readOptions("createServer", serverOptions, options);
    this.#key = this.#options.key;
  }

  /** @internal */
  static of(options: ServerOptions): SpipedServer {
    return new SpipedServer(options);
  }

  /** The address to connect to, as `connect` takes it; undefined while the server does not listen. */
  get address(): string | undefined {
    return this.#state.name === "listening" ? formatAddress(this.#state.tunnel.address) : undefined;
  }

  /** Number of open connections. */
  get connections(): number {
    return this.#tunnel?.connections ?? 0;
  }

  get #tunnel(): Tunnel | undefined {
    return "tunnel" in this.#state ? this.#state.tunnel : undefined;
  }

  /**
   * Listens on `/path`, `[IP]:port` or `host:port`; port 0 lets the system choose. After `close` it may listen again.
   *
   * @returns This server, listening.
   * @throws SpipedError `SPIPED_OPTION`, `SPIPED_ADDRESS`, `SPIPED_RESOLVE`, `SPIPED_TIMEOUT`; `SPIPED_LISTEN`, also if
   *   already listening or closing; `SPIPED_CANCELLED` if closed meanwhile; the signal's reason.
   */
  async listen(source: string): Promise<this> {
    const address = parseAddress(text("source", source));
    const { signal } = this.#options;
    switch (this.#state.name) {
      case "starting":
      case "listening":
        throw new SpipedError("SPIPED_LISTEN", "this server listens already");
      case "closing":
        throw new SpipedError("SPIPED_LISTEN", "this server is closing; it can listen again when close has resolved");
      case "idle":
      case "closed":
        break;
    }
    if (signal?.aborted) {
      void this.#destroy(abortError(signal));
      throw abortError(signal);
    }
    const over = new AbortController();
    const start = this.#start(address, over.signal);
    const starting: State = { name: "starting", over, settled: start.then(ignore, ignore) };
    this.#state = starting;
    this.#queue.open();
    this.#destroyOnAbort();
    try {
      await start;
    } catch (error) {
      if (this.#state === starting) this.#state = { name: "idle" };
      throw error;
    }
    return this;
  }

  async #start(address: ReturnType<typeof parseAddress>, over: AbortSignal): Promise<void> {
    const { maxConnections, forwardSecrecy, keepAlive, timeoutMs } = this.#options;
    const [first] = await resolve(address, { signal: over, timeoutMs });
    over.throwIfAborted();
    const config = {
      role: "decrypt",
      forwardSecrecy,
      keepAlive,
      timeoutMs,
      maxConnections,
      proxyProtocol: false,
    } as const;
    const events = new TunnelEmitter();
    events
      .on("ended", (report) => this.#tell("ended", report))
      .on("listenFailed", (error) => this.#tell("problem", error));
    const tunnel = new Tunnel(config, {
      keys: KeyRing.of(keyInUse(this.#key)),
      socket: ListeningSocket.listen(first, undefined),
      targets: this.#streams(),
      descriptors: descriptors(),
      events,
    });
    try {
      await tunnel.start();
      over.throwIfAborted();
    } catch (error) {
      const drained = tunnel.drain();
      tunnel.cancel();
      await drained;
      throw error;
    }
    this.#state = { name: "listening", tunnel };
    this.#tell("listening");
  }

  /** Uses another key for handshakes that begin from now on. The caller destroys the old one. */
  useKey(key: Key): void {
    this.#key = readKey("key", key);
    this.#tunnel?.keys.replace([{ name: undefined, key: key.shared }]);
  }

  /**
   * Stops listening; resolves when the last connection has ended. May be called in any state: it cancels a start, and
   * does nothing to a closed server.
   */
  close(): Promise<void> {
    return this.#close(new SpipedError("SPIPED_CANCELLED", "the server was closed before it listened"));
  }

  /** @param why - The error that a cancelled start rejects with. */
  #close(why: Error): Promise<void> {
    const state = this.#state;
    let tunnel: Tunnel | undefined;
    let ended: Promise<void>;
    switch (state.name) {
      case "idle":
        this.#closed();
        return Promise.resolve();
      case "closed":
        return Promise.resolve();
      case "closing":
        return state.closed;
      case "starting":
        ended = state.settled;
        state.over.abort(why);
        break;
      case "listening":
        tunnel = state.tunnel;
        this.#queue.drain();
        ended = tunnel.drain();
        break;
    }
    const closed = ended.then(() => this.#closed());
    this.#state = { name: "closing", tunnel, closed };
    return closed;
  }

  #closed(): void {
    this.#state = { name: "closed" };
    this.#removeAbortListener?.();
    this.#removeAbortListener = undefined;
    this.#queue.close();
    this.#tell("close");
  }

  /** Stops listening and ends all connections at once. Their streams do not emit `error` for this. */
  destroy(): Promise<void> {
    return this.#destroy(new SpipedError("SPIPED_CANCELLED", "the server was destroyed before it listened"));
  }

  #destroy(why: Error): Promise<void> {
    const closed = this.#close(why);
    this.#tunnel?.cancel();
    return closed;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.destroy();
  }

  /**
   * Yields each client's stream once, until the server is closed. Several loops share the streams. Without a
   * `connection` listener, streams are queued for the next loop; `close` resets those that no loop took.
   */
  [Symbol.asyncIterator](): AsyncIterableIterator<TunnelStream> {
    if (this.#state.name !== "closed") this.#destroyOnAbort();
    return this.#queue.loop();
  }

  /** Called by the first operation that the signal can cancel. */
  #destroyOnAbort(): void {
    const { signal } = this.#options;
    if (signal === undefined || this.#removeAbortListener !== undefined) return;
    const abort = () => void this.#destroy(abortError(signal));
    if (signal.aborted) abort();
    else this.#removeAbortListener = whenAborted(signal, abort);
  }

  #tell<Name extends keyof ServerEvents>(name: Name, ...values: ServerEvents[Name]): void {
    emitSafely(this, name, ...values);
  }

  /** Targets that give each connection to the program as a stream. */
  #streams(): Targets {
    const next = (source: Carrier): Target => {
      let stream: TunnelStream | undefined;
      return {
        open: async () => {
          stream = TunnelStream.of("this program", this.#options.allowHalfOpen);
          stream.setCarrier(source);
          return stream.channel;
        },
        opened: () => {
          if (stream === undefined) return;
          stream.opened();
          this.#queue.add(stream, this.listenerCount("connection") > 0);
          this.#tell("connection", stream);
        },
        ended: (report) => {
          // The program never saw this stream, so nobody would handle its error.
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
 * @param onConnection - Listener for `connection`.
 * @throws SpipedError `SPIPED_OPTION`.
 */
export function createServer(options: ServerOptions, onConnection?: (stream: TunnelStream) => void): SpipedServer {
  const server = SpipedServer.of(options);
  if (onConnection === undefined) return server;
  if (typeof onConnection !== "function") throw invalidOption("onConnection", "a function", onConnection);
  return server.on("connection", onConnection);
}

function ignore(): void {}
