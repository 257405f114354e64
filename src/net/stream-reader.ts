/**
 * Reads any readable stream, such as standard input, through the stream's own buffers. See `socket-reader.ts` for sockets.
 */

import type { Readable } from "node:stream";
import type { ByteReader, ByteSink } from "./byte-reader.js";
import { ExactReads } from "./exact-reads.js";

/** Reads any stream. Nothing else may read it. Unread data stays in the stream's buffer. */
export class StreamReader implements ByteReader {
  readonly leavesBytesToSystem = false;
  readonly #stream: Readable;
  readonly #exact: ExactReads;
  #sink: ByteSink | undefined;
  #stopped = false;
  #ended = false;

  /**
   * @param stream - Must not be in flowing mode.
   * @param exactLength - Total length of all exact reads, in bytes.
   */
  constructor(stream: Readable, exactLength: number) {
    this.#stream = stream;
    this.#exact = new ExactReads(exactLength);
    stream.on("readable", () => this.#pull());
    stream.once("end", () => {
      this.#ended = true;
      this.#exact.ended("orderly");
      this.#sink?.end();
    });
    stream.once("close", () => this.#exact.ended("closed"));
  }

  readExactly(length: number): Promise<Uint8Array> {
    return this.#exact.read(length);
  }

  arrivedSoFar(): Uint8Array {
    return this.#exact.arrivedSoFar;
  }

  flowInto(sink: ByteSink): void {
    this.#sink = sink;
    if (this.#ended) sink.end();
    else this.#pull();
  }

  resume(): void {
    this.#stopped = false;
    this.#pull();
  }

  #pull(): void {
    while (this.#exact.missing > 0) {
      const available = Math.min(this.#stream.readableLength, this.#exact.missing);
      const piece: Buffer | null = this.#stream.read(available);
      if (piece === null) return;
      this.#exact.space.set(piece);
      this.#exact.arrived(piece.length);
    }
    while (this.#sink !== undefined && !this.#stopped) {
      const { readableLength } = this.#stream;
      const { mostBytes } = this.#sink;
      // Read everything, but at most `mostBytes`. Asking for more than is available would return nothing.
      const bytes: Buffer | null = readableLength > mostBytes ? this.#stream.read(mostBytes) : this.#stream.read();
      if (bytes === null) return;
      if (!this.#sink.receive(bytes)) this.#stopped = true;
    }
  }
}
