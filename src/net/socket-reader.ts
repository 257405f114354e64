/**
 * Reads a `net.Socket` without allocating memory for each read: with the `onread` option, all sockets read into the same
 * buffer. The data is sealed or opened before the next read, so the buffer can be reused, and idle connections use no
 * memory.
 *
 * During exact reads, `onread` gets a buffer of exactly the missing length. The data behind them stays in the kernel, and
 * nothing has to be buffered here.
 */

import type { OnReadOpts, Socket } from "node:net";
import type { ByteReader, ByteSink } from "./byte-reader.js";
import { ExactReads } from "./exact-reads.js";
import { pendingSocketError } from "./socket-error.js";

/** The most bytes of one read. */
export const READ_BUFFER_BYTES = 65_536;

/** The most bytes of the first read: its buffer is prepared before the sink can say how many it wants. */
const FIRST_READ_BYTES = 1_024;

/** A read buffer, shared by all sockets that carry the same kind of data. */
export type ReadBuffer = Uint8Array & { readonly length: typeof READ_BUFFER_BYTES };

/** Creates a read buffer; a program has one for cleartext and one for packets. */
export function createReadBuffer(): ReadBuffer {
  return Buffer.alloc(READ_BUFFER_BYTES) as Uint8Array as ReadBuffer;
}

/**
 * Options of the `net.Socket` constructor that its types lack. `onread` is documented for `connect` only, but works here
 * too. `manualStart` is not documented: it keeps the socket from reading until it is resumed. If Node does not support it,
 * the reader buffers what arrives too early.
 */
export interface ReadOptions {
  readonly onread: OnReadOpts;
  readonly manualStart: true;
}

/** Returns the error behind an end of stream that looks orderly, if there is one. */
export type ErrorAtEnd = (socket: Socket) => Error | undefined;

/**
 * Reads one socket: first exact reads, then into the shared buffer, which the sink must not keep. Create the reader first,
 * pass its `onread` to the socket's constructor, then `attach` the socket.
 */
export class SocketReader implements ByteReader {
  readonly leavesBytesToSystem = true;
  /** Pass this option to the socket's constructor. */
  readonly onread: OnReadOpts;
  readonly #shared: ReadBuffer;
  /** The part of it that was offered to the last read. */
  #space: Uint8Array;
  readonly #exact: ExactReads;
  readonly #errorAtEnd: ErrorAtEnd;
  #socket: Socket | undefined;
  #sink: ByteSink | undefined;
  #buffered: Uint8Array | undefined;
  #endPending = false;

  /**
   * @param shared - The buffer to read into after the exact reads.
   * @param exactLength - Total length of all exact reads, in bytes.
   * @param errorAtEnd - Called at the end of the stream.
   */
  constructor(shared: ReadBuffer, exactLength: number, errorAtEnd: ErrorAtEnd = pendingError) {
    this.#shared = shared;
    this.#space = shared;
    this.#exact = new ExactReads(exactLength);
    this.#errorAtEnd = errorAtEnd;
    this.onread = {
      buffer: () => (this.#exact.missing > 0 ? this.#exact.space : this.#sharedSpace()),
      callback: (length, bytes) => this.#arrived(bytes.length === length ? bytes : bytes.subarray(0, length)),
    };
  }

  /** Attaches the socket that was created with `onread`, and starts the exact reads, if any. */
  attach(socket: Socket): void {
    this.#socket = socket;
    socket.once("end", () => this.#ended());
    socket.once("close", () => this.#exact.ended("closed"));
    if (this.#exact.missing > 0) socket.resume();
  }

  /** Whether data was read that no sink has received. */
  get hasBufferedBytes(): boolean {
    return this.#buffered !== undefined;
  }

  readExactly(length: number): Promise<Uint8Array> {
    return this.#exact.read(length);
  }

  arrivedSoFar(): Uint8Array {
    return this.#exact.arrivedSoFar;
  }

  flowInto(sink: ByteSink): void {
    this.#sink = sink;
    const buffered = this.#buffered;
    this.#buffered = undefined;
    if (buffered !== undefined && !sink.receive(buffered)) return;
    this.resume();
  }

  resume(): void {
    if (this.#endPending) {
      this.#endPending = false;
      this.#sink?.end();
    } else {
      this.#socket?.resume();
    }
  }

  #sharedSpace(): Uint8Array {
    const length = Math.min(this.#sink?.mostBytes ?? FIRST_READ_BYTES, READ_BUFFER_BYTES);
    if (this.#space.length !== length) this.#space = this.#shared.subarray(0, length);
    return this.#space;
  }

  #arrived(bytes: Uint8Array): boolean {
    if (this.#exact.missing > 0) {
      this.#exact.arrived(bytes.length);
      return this.#exact.missing > 0;
    }
    if (this.#sink !== undefined) return this.#sink.receive(bytes);
    // The socket reads before it was told to: buffer the data and stop reading.
    // (Copy it with `concat`: `slice` of a Buffer would still point to the shared memory.)
    this.#buffered = Buffer.concat(this.#buffered === undefined ? [bytes] : [this.#buffered, bytes]);
    return false;
  }

  #ended(): void {
    const socket = this.#socket;
    const error = socket === undefined ? undefined : this.#errorAtEnd(socket);
    if (error !== undefined) {
      socket?.destroy(error);
      return;
    }
    this.#exact.ended("orderly");
    if (this.#sink !== undefined) this.#sink.end();
    else this.#endPending = true;
  }
}

function pendingError(socket: Socket): Error | undefined {
  const code = pendingSocketError(socket);
  return code === undefined ? undefined : Object.assign(new Error(code), { code });
}
