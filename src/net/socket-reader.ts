/**
 * Reads a `net.Socket` without an allocation for each read: the socket's `onread` option reads into memory that all
 * sockets share. What is read is sealed or opened before the next read, so nothing of it is needed afterwards, and
 * idle connections own no memory.
 *
 * While exact reads are due, the memory offered is just as long as what they still miss. So the kernel keeps
 * everything behind them, and no byte of the packets has to be put aside.
 */

import type { OnReadOpts, Socket } from "node:net";
import type { ByteReader, ByteSink } from "./byte-reader.js";
import { ExactReads } from "./exact-reads.js";
import { pendingSocketError } from "./socket-error.js";

/** Bytes of one read. */
export const READ_BUFFER_BYTES = 65_536;

/** One read buffer for all sockets of one kind of data. */
export type ReadBuffer = Uint8Array & { readonly length: typeof READ_BUFFER_BYTES };

/** Makes a read buffer; a program has one for cleartext and one for packets. */
export function createReadBuffer(): ReadBuffer {
  return Buffer.alloc(READ_BUFFER_BYTES) as Uint8Array as ReadBuffer;
}

/**
 * What the constructor of `net.Socket` takes besides what its types name: `onread` is documented for `connect` only,
 * and works here too. `manualStart` is not documented: the socket does not read until told; where it is not known, the
 * reader holds what came too early.
 */
export interface ReadOptions {
  readonly onread: OnReadOpts;
  readonly manualStart: true;
}

/** The error behind an end that looks orderly; undefined where it is. */
export type ErrorAtEnd = (socket: Socket) => Error | undefined;

/**
 * Reads one socket: exact reads first, then into the shared buffer, which the sink must not keep. Make it before its
 * socket, whose constructor takes `onread`, and then `attach` the socket.
 */
export class SocketReader implements ByteReader {
  readonly leavesBytesToSystem = true;
  /** The option for the socket that will be read. */
  readonly onread: OnReadOpts;
  readonly #shared: ReadBuffer;
  /** As much of it as was offered last. */
  #space: Uint8Array;
  readonly #exact: ExactReads;
  readonly #errorAtEnd: ErrorAtEnd;
  #socket: Socket | undefined;
  #sink: ByteSink | undefined;
  #buffered: Uint8Array | undefined;
  #endPending = false;

  /**
   * @param shared - Memory to read into after the exact reads.
   * @param exactLength - Bytes of all exact reads together.
   * @param errorAtEnd - Asked at each end of a stream.
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

  /** Takes the socket that was made with `onread`, and begins the exact reads, if there are any. */
  attach(socket: Socket): void {
    this.#socket = socket;
    socket.once("end", () => this.#ended());
    socket.once("close", () => this.#exact.ended("closed"));
    if (this.#exact.missing > 0) socket.resume();
  }

  /** Whether bytes were read that nobody has taken. */
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
    const length = Math.min(this.#sink?.mostBytes ?? READ_BUFFER_BYTES, READ_BUFFER_BYTES);
    if (this.#space.length !== length) this.#space = this.#shared.subarray(0, length);
    return this.#space;
  }

  #arrived(bytes: Uint8Array): boolean {
    if (this.#exact.missing > 0) {
      this.#exact.arrived(bytes.length);
      return this.#exact.missing > 0;
    }
    if (this.#sink !== undefined) return this.#sink.receive(bytes);
    // A socket that reads before it is told to: what it read is kept, and it stops.
    // (`slice` of a Buffer would not copy, and the memory is everybody's.)
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
