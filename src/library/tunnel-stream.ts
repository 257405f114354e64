/**
 * One side of a connection as a stream for the program: writes go into the tunnel, and what comes out of the tunnel can
 * be read. The tunnel sees it as a channel, like a socket.
 */

import { Duplex } from "node:stream";
import { SpipedError } from "../errors.js";
import type { Carrier } from "../net/channel.js";
import type { ConnectionReport } from "../tunnel/reports.js";
import { abortError, whenAborted } from "./abort.js";
import { invalidOption, notConstructible } from "./checks.js";
import { emitSafely } from "./listener-errors.js";
import { type Callback, PIECE_BYTES, StreamChannel } from "./stream-channel.js";

/** The longest delay of a timer. Longer ones are capped, as `net.Socket` does. */
const MAX_TIMEOUT_MS = 2 ** 31 - 1;

/** Error listener for streams that the program may not listen to, whose errors need no handling. */
export function ignoreErrors(): void {}

/** A stream's state, as `net.Socket` names it. */
export type ReadyState = "opening" | "open" | "readOnly" | "writeOnly" | "closed";

/**
 * The cleartext end of an encrypted connection. `end` ends the sending direction only; receiving continues until the
 * peer ends.
 *
 * Besides a Duplex, it has the parts of `net.Socket` that HTTP agents and database drivers use: `connecting`,
 * `setTimeout`, `setNoDelay`, `setKeepAlive`, `ref`, `unref`, the counters and the remote address.
 *
 * Additional events: `connect` and then `ready`, when the handshake is complete and the peer has proved that it has the
 * key; `timeout`, see `setTimeout`.
 */
export class TunnelStream extends Duplex {
  /** @internal The tunnel's view of the stream. */
  readonly channel: StreamChannel;
  #report: ConnectionReport | undefined;
  #whenReported: (() => void) | undefined;
  #connected = false;
  #carrier: Carrier | undefined;
  #isUnref = false;
  #timeoutMs: number | undefined;
  #idle: NodeJS.Timeout | undefined;
  #timedOut: SpipedError | undefined;
  #bytesRead = 0;
  #bytesWritten = 0;

  private constructor(peer: string | undefined, allowHalfOpen: boolean) {
    if (peer === undefined) throw notConstructible("TunnelStream", "connect or createServer");
    super({ allowHalfOpen, highWaterMark: PIECE_BYTES });
    this.channel = new StreamChannel(this, peer);
  }

  /** @internal */
  static of(peer: string, allowHalfOpen: boolean): TunnelStream {
    return new TunnelStream(peer, allowHalfOpen);
  }

  /** True after the handshake. */
  get connected(): boolean {
    return this.#connected;
  }

  /**
   * How the connection ended; undefined while it is open. Set before `close` is emitted, unless `destroy` was called
   * first.
   */
  get report(): ConnectionReport | undefined {
    return this.#report;
  }

  /** True until the handshake succeeds or fails. */
  get connecting(): boolean {
    return !this.#connected && !this.destroyed;
  }

  /** Same as `connecting`. */
  get pending(): boolean {
    return this.connecting;
  }

  get readyState(): ReadyState {
    if (this.connecting) return "opening";
    if (this.readable) return this.writable ? "open" : "readOnly";
    return this.writable ? "writeOnly" : "closed";
  }

  /** Bytes of cleartext received. */
  get bytesRead(): number {
    return this.#bytesRead;
  }

  /** Bytes of cleartext written and handed to the tunnel. */
  get bytesWritten(): number {
    return this.#bytesWritten;
  }

  /** Address of the peer; undefined before `connect`, and over a UNIX socket. */
  get remoteAddress(): string | undefined {
    return this.#carrier?.remote?.address;
  }

  get remotePort(): number | undefined {
    return this.#carrier?.remote?.port;
  }

  get remoteFamily(): "IPv4" | "IPv6" | undefined {
    return this.#carrier?.remote?.family;
  }

  /** The milliseconds passed to `setTimeout`; undefined if not set. */
  get timeout(): number | undefined {
    return this.#timeoutMs;
  }

  /**
   * Emits `timeout` after `milliseconds` without data in either direction; 0 disables it. The stream stays open:
   * destroy it to close it.
   */
  setTimeout(milliseconds: number, listener?: () => void): this {
    if (typeof milliseconds !== "number" || !(milliseconds >= 0)) {
      throw invalidOption("milliseconds", "a number from 0", milliseconds);
    }
    if (this.destroyed) return this;
    clearTimeout(this.#idle);
    const isNever = milliseconds === 0;
    this.#timeoutMs = isNever ? undefined : milliseconds;
    const timeOut = () => this.emit("timeout");
    this.#idle = isNever ? undefined : setTimeout(timeOut, Math.min(milliseconds, MAX_TIMEOUT_MS)).unref();
    if (listener === undefined) return this;
    return isNever ? this.off("timeout", listener) : this.once("timeout", listener);
  }

  /** Does nothing: the stream is connecting from its creation. Drivers call this with the address they believe in. */
  connect(..._words: unknown[]): this {
    return this;
  }

  /** Does nothing: data is never delayed. */
  setNoDelay(_noDelay?: boolean): this {
    return this;
  }

  /** Does nothing: the option `keepAlive` applies to the whole connection. */
  setKeepAlive(_enable?: boolean, _initialDelay?: number): this {
    return this;
  }

  /** Keeps the process running while the stream is open; the default. */
  ref(): this {
    this.#isUnref = false;
    this.#carrier?.ref();
    return this;
  }

  /** Lets the process exit while the stream is open. */
  unref(): this {
    this.#isUnref = true;
    this.#carrier?.unref();
    return this;
  }

  /** @internal Sets the underlying socket. */
  setCarrier(carrier: Carrier): void {
    this.#carrier = carrier;
    if (this.#isUnref) carrier.unref();
  }

  /** @internal Counts bytes and restarts the idle timer. */
  moved(bytesRead: number, bytesWritten: number): void {
    this.#bytesRead += bytesRead;
    this.#bytesWritten += bytesWritten;
    this.#idle?.refresh();
  }

  /** @internal Destroys the stream when `signal` is aborted. */
  destroyOn(signal: AbortSignal | undefined): void {
    if (signal === undefined) return;
    const abort = () => this.destroy(abortError(signal));
    if (signal.aborted) abort();
    else this.once("close", whenAborted(signal, abort));
  }

  /** @internal */
  opened(): void {
    this.#connected = true;
    emitSafely(this, "connect");
    emitSafely(this, "ready");
  }

  /** @internal */
  ended(report: ConnectionReport): void {
    this.#report = report;
    // A program that cancels everything should not need an error listener on each stream.
    if (report.reason === "cancelled" && !this.destroyed) this.on("error", ignoreErrors);
    if (report.error !== undefined) this.destroy(report.error);
    this.#whenReported?.();
  }

  /** @internal The time limit for connecting is over. */
  timeOut(error: SpipedError): void {
    this.#timedOut = error;
    this.destroy(error);
  }

  /** @internal Resets a stream that no program took, so that its client does not think it was served. */
  abandon(): void {
    this.on("error", ignoreErrors);
    this.destroy(new SpipedError("SPIPED_CANCELLED", "nobody took the stream"));
  }

  override _write(chunk: Buffer, _encoding: BufferEncoding, callback: Callback): void {
    this.channel.send(chunk, callback);
  }

  override _final(callback: Callback): void {
    this.channel.sendEnd(callback);
  }

  override _read(): void {
    this.channel.wanted();
  }

  override _destroy(error: Error | null, callback: Callback): void {
    clearTimeout(this.#idle);
    const nothingWaits = this.writableLength === 0 && this.readableLength === 0;
    if (error === null && this.#connected && nothingWaits) this.channel.release();
    else this.channel.destroyed(this.#timedOut);
    // Wait for the report, unless the stream was released before the other side ended.
    if (this.#report === undefined && this.readableEnded) this.#whenReported = () => callback(error);
    else callback(error);
  }
}
