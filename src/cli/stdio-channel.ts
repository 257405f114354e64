/**
 * Standard input and output as one side of a connection, for `spipe`.
 *
 * Pipes and sockets get streams of our own: Node's `process.stdout` never closes its descriptor, and whoever reads
 * from it would wait for the end of the whole program instead of the end of the stream.
 */

import { createWriteStream, fstatSync } from "node:fs";
import { Socket, type SocketConstructorOpts } from "node:net";
import type { Readable, Writable } from "node:stream";
import { messageOf, SpipedError } from "../errors.js";
import type { ByteReader } from "../net/byte-reader.js";
import type { Channel } from "../net/channel.js";
import { type ReadBuffer, type ReadOptions, SocketReader } from "../net/socket-reader.js";
import { StreamReader } from "../net/stream-reader.js";

const INPUT = 0;
const OUTPUT = 1;

/** See the head of this file. */
export class StdioChannel implements Channel {
  readonly reader: ByteReader;
  readonly writable: Writable;
  readonly peer = "standard input and output";
  readonly #input: Readable;
  #over = false;
  #listener: ((error: SpipedError) => void) | undefined;

  /** @param readBuffer - Memory to read into. */
  constructor(readBuffer: ReadBuffer) {
    if (isPipe(INPUT)) {
      const reader = new SocketReader(readBuffer, 0);
      const options: SocketConstructorOpts & ReadOptions = {
        fd: INPUT,
        writable: false,
        manualStart: true,
        onread: reader.onread,
      };
      const socket = new Socket(options);
      reader.attach(socket);
      this.#input = socket;
      this.reader = reader;
    } else {
      this.#input = process.stdin;
      this.reader = new StreamReader(process.stdin, 0);
    }
    this.writable = openOutput();
    this.#input.on("error", (cause) => this.#failed("standard input", cause));
    this.writable.on("error", (cause) => this.#failed("standard output", cause));
  }

  onFailure(listener: (error: SpipedError) => void): void {
    this.#listener = listener;
  }

  close(): void {
    this.#over = true;
    this.#input.destroy();
    this.writable.destroy();
  }

  reset(): void {
    this.close();
  }

  #failed(stream: string, cause: Error): void {
    if (this.#over) return;
    this.#listener?.(new SpipedError("SPIPED_RESET", `${stream}: ${messageOf(cause)}`, { cause }));
  }
}

function openOutput(): Writable {
  if (isPipe(OUTPUT)) return new Socket({ fd: OUTPUT, readable: false, writable: true, allowHalfOpen: true });
  if (process.stdout.isTTY) return process.stdout;
  return createWriteStream("", { fd: OUTPUT });
}

function isPipe(descriptor: number): boolean {
  const status = fstatSync(descriptor);
  return status.isFIFO() || status.isSocket();
}
