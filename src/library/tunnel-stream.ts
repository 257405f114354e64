/**
 * One side of a connection as a stream in the caller's hands: what a program writes goes into the tunnel, what comes
 * out of the tunnel can be read. The other face of it is a channel, which the tunnel takes for a socket.
 */

import { Duplex, Writable } from "node:stream";
import { SpipedError } from "../errors.js";
import type { ByteReader, ByteSink } from "../net/byte-reader.js";
import type { Channel } from "../net/channel.js";
import type { ConnectionReport } from "../tunnel/connection.js";

/** Bytes that are handed on at once; larger writes are cut. */
const PIECE_LENGTH = 65_536;

type Callback = (error?: Error | null) => void;

/**
 * The cleartext end of an encrypted connection. Half-open like a `net.Socket` with `allowHalfOpen`: `end` ends the own
 * direction only.
 *
 * Events besides a Duplex's: `connect`, once the handshake is over and the peer is known to have the key.
 */
export class TunnelStream extends Duplex {
  /** @internal The side that the tunnel takes for a socket. */
  readonly channel: StreamChannel;
  #report: ConnectionReport | undefined;
  #connected = false;

  /** @internal Made by `connect` and `createServer`. */
  constructor(peer: string) {
    super({ allowHalfOpen: true, highWaterMark: PIECE_LENGTH });
    this.channel = new StreamChannel(this, peer);
  }

  /** True from the end of the handshake on. */
  get connected(): boolean {
    return this.#connected;
  }

  /** How the connection ended; undefined while it lasts. */
  get report(): ConnectionReport | undefined {
    return this.#report;
  }

  /** @internal Destroys the stream when `signal` is aborted. */
  destroyOn(signal: AbortSignal | undefined): void {
    if (signal === undefined) return;
    const abort = () => this.destroy(asError(signal.reason));
    if (signal.aborted) abort();
    else signal.addEventListener("abort", abort, { once: true });
    this.once("close", () => signal.removeEventListener("abort", abort));
  }

  /** @internal */
  opened(): void {
    this.#connected = true;
    this.emit("connect");
  }

  /** @internal */
  ended(report: ConnectionReport): void {
    this.#report = report;
    if (report.error !== undefined) this.destroy(report.error);
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
    // A stream destroys itself when both of its directions have ended; the connection then ends in its own time.
    if (error !== null || !this.readableEnded || !this.writableFinished) this.channel.destroyed();
    callback(error);
  }
}

function asError(reason: unknown): Error {
  return reason instanceof Error ? reason : new SpipedError("SPIPED_CANCELLED", String(reason));
}

/** The face that the tunnel sees. */
export class StreamChannel implements Channel, ByteReader {
  readonly reader: ByteReader = this;
  readonly writable: Writable;
  readonly peer: string;
  #sink: ByteSink | undefined;
  /** What was written and not handed on, and whom to tell. */
  #unsent: { readonly bytes: Uint8Array; readonly callback: Callback } | undefined;
  #endUnsent: Callback | undefined;
  #unread: Callback | undefined;
  #fail: ((error: SpipedError) => void) | undefined;
  #over = false;

  constructor(stream: TunnelStream, peer: string) {
    this.peer = peer;
    this.writable = new Writable({
      write: (chunk: Uint8Array, _encoding, callback) => {
        // The tunnel uses its memory again as soon as it is told that it may; a reader may keep what it read.
        if (stream.push(Buffer.from(chunk))) callback();
        else this.#unread = callback;
      },
      final: (callback) => {
        stream.push(null);
        callback();
      },
    });
  }

  onFailure(listener: (error: SpipedError) => void): void {
    this.#fail = listener;
  }

  /** Nothing is cut here: the stream is told by the report of the connection, with its reason. */
  close(): void {
    this.#over = true;
  }

  reset(): void {
    this.#over = true;
  }

  readExactly(): Promise<Uint8Array> {
    throw new SpipedError("SPIPED_STEP", "a program's own stream takes part in no handshake");
  }

  flowInto(sink: ByteSink): void {
    this.#sink = sink;
    this.resume();
  }

  resume(): void {
    const unsent = this.#unsent;
    if (unsent !== undefined) {
      this.#unsent = undefined;
      this.send(unsent.bytes, unsent.callback);
    }
    const endUnsent = this.#endUnsent;
    if (this.#unsent !== undefined || endUnsent === undefined) return;
    this.#endUnsent = undefined;
    this.sendEnd(endUnsent);
  }

  /** The program has written. */
  send(bytes: Uint8Array, callback: Callback): void {
    let left = bytes;
    while (this.#sink !== undefined && left.length > 0) {
      const goesOn = this.#sink.take(left.subarray(0, PIECE_LENGTH));
      left = left.subarray(PIECE_LENGTH);
      if (!goesOn) break;
    }
    if (left.length === 0) callback();
    else this.#unsent = { bytes: left, callback };
  }

  /** The program has written all. */
  sendEnd(callback: Callback): void {
    if (this.#sink === undefined) {
      this.#endUnsent = callback;
    } else {
      this.#sink.end();
      callback();
    }
  }

  /** The program reads on. */
  wanted(): void {
    const callback = this.#unread;
    this.#unread = undefined;
    callback?.();
  }

  /** The program has thrown its stream away: nothing more will be taken or read. */
  destroyed(): void {
    if (!this.#over) this.#fail?.(new SpipedError("SPIPED_CANCELLED", "the stream was destroyed"));
  }
}
