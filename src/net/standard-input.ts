/**
 * Reads standard input of any kind to its end. Nothing is read before `flowInto`, so if the connection fails, the next
 * reader of the descriptor misses nothing.
 */

import { Socket, type SocketConstructorOpts } from "node:net";
import { addon } from "../native/native.js";
import type { ByteReader, ByteSink } from "./byte-reader.js";
import { type ReadBuffer, type ReadOptions, SocketReader } from "./socket-reader.js";
import { INPUT, reopenPipe, systemError } from "./standard-descriptors.js";

/** Reads standard input. Opens and reads nothing until `flowInto`; `destroy` closes what was opened. */
export class StandardInput implements ByteReader {
  readonly leavesBytesToSystem = true;
  readonly #readBuffer: ReadBuffer;
  readonly #failed: (cause: Error) => void;
  #opened: { readonly socket: Socket; readonly reader: SocketReader } | undefined;

  /**
   * @param readBuffer - Memory to read into.
   * @param failed - Called when reading fails.
   */
  constructor(readBuffer: ReadBuffer, failed: (cause: Error) => void) {
    this.#readBuffer = readBuffer;
    this.#failed = failed;
  }

  readExactly(length: number): Promise<Uint8Array> {
    // Never used: standard input has no exact reads.
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

  /** Stops reading. */
  destroy(): void {
    this.#opened?.socket.destroy();
  }
}

/** A descriptor of our own with the data of standard input, and a function that returns the error behind its end. */
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
