/** A program's stream as the tunnel sees it: a channel, like a socket. */

import { Writable } from "node:stream";
import { SpipedError } from "../errors.js";
import type { ByteReader, ByteSink } from "../net/byte-reader.js";
import type { Channel } from "../net/channel.js";
import { FailureLatch } from "../net/failure-latch.js";
import { callListener } from "./listener-errors.js";

/** Largest piece handed on at once; larger writes are split. */
export const PIECE_BYTES = 65_536;

/** How long a destroyed stream waits for the other side's end, in milliseconds. */
const RELEASE_MS = 5_000;

export type Callback = (error?: Error | null) => void;

/** The program's side of the stream. */
export interface ProgramSide {
  /** Makes bytes, or their end, readable. @returns False to stop until `wanted` is called. */
  push(bytes: Uint8Array | null): boolean;
  /** Counts bytes that were received and sent. */
  moved(bytesRead: number, bytesWritten: number): void;
}

/** A program's stream as a channel: `send` and `sendEnd` feed the tunnel's sink, `writable` feeds the program. */
export class StreamChannel extends FailureLatch implements Channel, ByteReader {
  readonly reader: ByteReader = this;
  /** Writes of the program are serialized, each waiting for the one before. */
  readonly leavesBytesToSystem = false;
  readonly writable: Writable;
  readonly peer: string;
  readonly #program: ProgramSide;
  #sink: ByteSink | undefined;
  /** Whether the tunnel has paused reading. */
  #stopped = false;
  /** The write in progress: bytes not handed on yet, and its callback. */
  #unsent: { readonly bytes: Uint8Array; readonly callback: Callback } | undefined;
  #endUnsent: Callback | undefined;
  #unread: Callback | undefined;
  #released: NodeJS.Timeout | undefined;

  constructor(program: ProgramSide, peer: string) {
    super();
    this.peer = peer;
    this.#program = program;
    this.writable = new Writable({
      write: (chunk: Uint8Array, _encoding, callback) => {
        if (this.#released !== undefined) {
          this.destroyed();
          return;
        }
        program.moved(chunk.length, 0);
        // Copied: the tunnel reuses its memory after the callback, but the reader may keep what it read.
        if (callListener(() => program.push(Buffer.from(chunk)), true)) callback();
        else this.#unread = callback;
      },
      final: (callback) => {
        program.push(null);
        callback();
      },
    });
  }

  /** Nothing to close: the stream learns from the connection's report, with its reason. */
  close(): void {
    this.settle();
    clearTimeout(this.#released);
  }

  reset(): void {
    this.close();
  }

  readExactly(): Promise<Uint8Array> {
    throw new SpipedError("SPIPED_STEP", "a program's own stream takes part in no handshake");
  }

  flowInto(sink: ByteSink): void {
    this.#sink = sink;
    this.resume();
  }

  resume(): void {
    this.#stopped = false;
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

  /** A write by the program. */
  send(bytes: Uint8Array, callback: Callback): void {
    let left = bytes;
    while (this.#sink !== undefined && !this.#stopped && left.length > 0) {
      const piece = left.subarray(0, Math.min(PIECE_BYTES, this.#sink.mostBytes));
      this.#stopped = !this.#sink.receive(piece);
      left = left.subarray(piece.length);
      this.#program.moved(0, piece.length);
    }
    if (left.length === 0) callback();
    else this.#unsent = { bytes: left, callback };
  }

  /** `end` by the program. */
  sendEnd(callback: Callback): void {
    if (this.#sink === undefined) {
      this.#endUnsent = callback;
    } else {
      this.#sink.end(callback);
    }
  }

  /** The program is ready to read more. */
  wanted(): void {
    const callback = this.#unread;
    this.#unread = undefined;
    callback?.();
  }

  /**
   * The program destroyed its stream with nothing buffered in either direction: an orderly end, as with a socket. The
   * connection is reset if bytes arrive after all, or if the other side does not end in time.
   */
  release(): void {
    this.sendEnd(() => undefined);
    this.#released = setTimeout(() => this.destroyed(), RELEASE_MS).unref();
  }

  /** The program destroyed its stream before its end: nothing more is sent or received. */
  destroyed(why = new SpipedError("SPIPED_CANCELLED", "the stream was destroyed")): void {
    this.fail(why);
  }
}
