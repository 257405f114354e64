/**
 * One side of a connection as a stream in the caller's hands: what a program writes goes into the tunnel, what comes
 * out of the tunnel can be read. Its other face is a channel, which the tunnel takes for a socket.
 */

import { Duplex } from "node:stream";
import { SpipedError } from "../errors.js";
import type { Carrier } from "../net/channel.js";
import type { ConnectionReport } from "../tunnel/reports.js";
import { abortError, whenAborted } from "./abort.js";
import { notConstructible, wrong } from "./checks.js";
import { emitSafely } from "./listener-errors.js";
import { type Callback, PIECE_BYTES, StreamChannel } from "./stream-channel.js";

/** The longest time that a timer takes; a longer one is taken for it, as that of a socket. */
const MAX_TIMEOUT_MS = 2 ** 31 - 1;

/** Listens to the errors of a stream that nobody else may listen to, and that are nobody's fault. */
export function ignoreErrors(): void {}

/** How far a stream has come, as `net.Socket` names it. */
export type ReadyState = "opening" | "open" | "readOnly" | "writeOnly" | "closed";

/**
 * The cleartext end of an encrypted connection. `end` ends the own direction only; the other goes on until its own end.
 *
 * It has what HTTP agents and database drivers use of a `net.Socket` besides a Duplex: `connecting`, `setTimeout`,
 * `setNoDelay`, `setKeepAlive`, `ref`, `unref`, the counters and the remote address.
 *
 * Events besides a Duplex's: `connect` and then `ready`, once the handshake is over and the peer is known to have the
 * key; `timeout`, see `setTimeout`.
 */
export class TunnelStream extends Duplex {
  /** @internal The side that the tunnel takes for a socket. */
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

  /** True from the end of the handshake on. */
  get connected(): boolean {
    return this.#connected;
  }

  /** How the connection ended; undefined while it lasts. There by `close`, unless `destroy` came before the end. */
  get report(): ConnectionReport | undefined {
    return this.#report;
  }

  /** True until the handshake is over, or has failed. */
  get connecting(): boolean {
    return !this.#connected && !this.destroyed;
  }

  /** As `connecting`. */
  get pending(): boolean {
    return this.connecting;
  }

  get readyState(): ReadyState {
    if (this.connecting) return "opening";
    if (this.readable) return this.writable ? "open" : "readOnly";
    return this.writable ? "writeOnly" : "closed";
  }

  /** Bytes of cleartext that have arrived. */
  get bytesRead(): number {
    return this.#bytesRead;
  }

  /** Bytes of cleartext that were written, and handed to the tunnel. */
  get bytesWritten(): number {
    return this.#bytesWritten;
  }

  /** The other end of the encrypted connection; undefined before `connect`, and over a UNIX socket. */
  get remoteAddress(): string | undefined {
    return this.#carrier?.remote?.address;
  }

  get remotePort(): number | undefined {
    return this.#carrier?.remote?.port;
  }

  get remoteFamily(): "IPv4" | "IPv6" | undefined {
    return this.#carrier?.remote?.family;
  }

  /** The milliseconds of `setTimeout`; undefined without one. */
  get timeout(): number | undefined {
    return this.#timeoutMs;
  }

  /**
   * Emits `timeout` whenever nothing was sent or received for `milliseconds`; 0 for never. The stream goes on: whoever
   * wants it to end, destroys it.
   */
  setTimeout(milliseconds: number, listener?: () => void): this {
    if (typeof milliseconds !== "number" || !(milliseconds >= 0)) {
      throw wrong("milliseconds", "a number from 0", milliseconds);
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

  /** Nothing to do: a stream connects from its start, and not to where a driver thinks that its server is. */
  connect(..._words: unknown[]): this {
    return this;
  }

  /** Nothing to do: nothing is ever delayed. */
  setNoDelay(_noDelay?: boolean): this {
    return this;
  }

  /** Nothing to do: `keepAlive` of the options says it for the whole connection. */
  setKeepAlive(_enable?: boolean, _initialDelay?: number): this {
    return this;
  }

  /** Keeps the process running while the stream is open, as it does from the start. */
  ref(): this {
    this.#isUnref = false;
    this.#carrier?.ref();
    return this;
  }

  /** Lets the process end although the stream is open. */
  unref(): this {
    this.#isUnref = true;
    this.#carrier?.unref();
    return this;
  }

  /** @internal The socket below it. */
  carriedBy(carrier: Carrier): void {
    this.#carrier = carrier;
    if (this.#isUnref) carrier.unref();
  }

  /** @internal Bytes came or went. */
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
    // A program that ends everything at once need not listen for that on each stream.
    if (report.reason === "cancelled" && !this.destroyed) this.on("error", ignoreErrors);
    if (report.error !== undefined) this.destroy(report.error);
    this.#whenReported?.();
  }

  /** @internal The connection is not there in time. */
  timeOut(error: SpipedError): void {
    this.#timedOut = error;
    this.destroy(error);
  }

  /** @internal Resets a stream that nobody has, so that its client does not take it for served. */
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
    // The connection ends at once, but for a stream that was released before the other side has ended.
    if (this.#report === undefined && this.readableEnded) this.#whenReported = () => callback(error);
    else callback(error);
  }
}
