/**
 * The face of a program's stream that the tunnel sees: a channel, like that of a socket.
 */

import { Writable } from "node:stream";
import { SpipedError } from "../errors.js";
import type { ByteReader, ByteSink } from "../net/byte-reader.js";
import type { Channel } from "../net/channel.js";
import { FailureLatch } from "../net/failure-latch.js";
import { callListener } from "./listener-errors.js";

/** Bytes that are handed on at once; larger writes are cut. */
export const PIECE_BYTES = 65_536;

/** How long a stream that was destroyed waits for the other side's end, in milliseconds. */
const RELEASE_MS = 5_000;

export type Callback = (error?: Error | null) => void;

/** The face that the program sees. */
export interface ProgramSide {
  /** Lets the program read bytes, or their end. @returns False to stop until `wanted` is called. */
  push(bytes: Uint8Array | null): boolean;
  /** So many bytes came, and so many went. */
  moved(bytesRead: number, bytesWritten: number): void;
}

/** A program's stream as a channel: `send` and `sendEnd` feed the tunnel's sink, `writable` feeds the program. */
export class StreamChannel extends FailureLatch implements Channel, ByteReader {
  readonly reader: ByteReader = this;
  /** The program's writes come one by one, and wait for one another. */
  readonly leavesBytesToSystem = false;
  readonly writable: Writable;
  readonly peer: string;
  readonly #program: ProgramSide;
  #sink: ByteSink | undefined;
  /** Whether the tunnel wants no more for now. */
  #stopped = false;
  /** What was written and not handed on, and whom to tell. */
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
        // The tunnel uses its memory again as soon as it is told that it may; a reader may keep what it read.
        if (callListener(() => program.push(Buffer.from(chunk)), true)) callback();
        else this.#unread = callback;
      },
      final: (callback) => {
        program.push(null);
        callback();
      },
    });
  }

  /** Nothing is cut here: the stream is told by the report of the connection, with its reason. */
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

  /** The program has written. */
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

  /** The program has written all. */
  sendEnd(callback: Callback): void {
    if (this.#sink === undefined) {
      this.#endUnsent = callback;
    } else {
      this.#sink.end(callback);
    }
  }

  /** The program reads on. */
  wanted(): void {
    const callback = this.#unread;
    this.#unread = undefined;
    callback?.();
  }

  /**
   * The program has thrown its stream away when nothing waited in either direction: that is its end, as with a socket.
   * Bytes that come all the same break the connection, and so does an end that does not come.
   */
  release(): void {
    this.sendEnd(() => undefined);
    this.#released = setTimeout(() => this.destroyed(), RELEASE_MS).unref();
  }

  /** The program has thrown its stream away in the middle: nothing more will be taken or read. */
  destroyed(why = new SpipedError("SPIPED_CANCELLED", "the stream was destroyed")): void {
    this.fail(why);
  }
}
