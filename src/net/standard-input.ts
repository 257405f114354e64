/**
 * Standard input of any kind, read to its end. Nothing is read before it is to flow: whoever reads the descriptor after
 * a connection that failed misses nothing.
 */

import { Socket, type SocketConstructorOpts } from "node:net";
import { addon } from "../native/native.js";
import type { ByteReader, ByteSink } from "./byte-reader.js";
import { type ReadBuffer, type ReadOptions, SocketReader } from "./socket-reader.js";
import { INPUT, reopenPipe, systemError } from "./standard-descriptors.js";

/** Reads standard input. Opens and reads nothing until `flowInto`; `destroy` closes what it has opened. */
export class StandardInput implements ByteReader {
  readonly leavesBytesToSystem = true;
  readonly #readBuffer: ReadBuffer;
  readonly #failed: (cause: Error) => void;
  #opened: { readonly socket: Socket; readonly reader: SocketReader } | undefined;

  /**
   * @param readBuffer - Memory to read into.
   * @param failed - Told when reading fails.
   */
  constructor(readBuffer: ReadBuffer, failed: (cause: Error) => void) {
    this.#readBuffer = readBuffer;
    this.#failed = failed;
  }

  readExactly(length: number): Promise<Uint8Array> {
    // No handshake is read from here.
    return new SocketReader(this.#readBuffer, 0).readExactly(length);
  }

  flowInto(sink: ByteSink): void {
    const { descriptor, errorAtEnd } = openInput();
    const reader = new SocketReader(this.#readBuffer, 0, errorAtEnd);
    const options: SocketConstructorOpts & ReadOptions = {
      fd: descriptor,
      writable: false,
      manualStart: true,
      onread: reader.onread,
    };
    const socket = new Socket(options);
    socket.on("error", (cause) => this.#failed(cause));
    reader.attach(socket);
    this.#opened = { socket, reader };
    reader.flowInto(sink);
  }

  resume(): void {
    this.#opened?.reader.resume();
  }

  /** Reads no more. */
  destroy(): void {
    this.#opened?.socket.destroy();
  }
}

/** A descriptor of our own that gives what standard input has, and the error that may be behind its end. */
function openInput(): { readonly descriptor: number; readonly errorAtEnd: () => Error | undefined } {
  const pipe = reopenPipe(INPUT);
  if (pipe !== undefined) return { descriptor: pipe, errorAtEnd: () => undefined };
  const thread = addon.readStandardInput();
  return {
    descriptor: thread.descriptor,
    errorAtEnd: () => {
      const { outcome } = thread;
      if (outcome === 0) return undefined;
      return outcome === null ? new Error("the thread that reads it has died") : systemError(outcome);
    },
  };
}
