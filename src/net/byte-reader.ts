/**
 * The reading half of a connection: first exact reads of known lengths, then a flow of data.
 * `socket-reader.ts` reads sockets into shared memory; `stream-reader.ts` reads any other stream.
 */

/** The destination of the data after the exact reads. */
export interface ByteSink {
  /** The most bytes that the next `receive` accepts, at least 1. Queried when the read is prepared, maybe long before. */
  readonly mostBytes: number;
  /**
   * Takes the data of one read.
   *
   * @param bytes - At least 1 byte. The memory is the reader's and is valid only until this returns.
   * @returns False to stop reading until `resume` is called.
   */
  receive(bytes: Uint8Array): boolean;
  /**
   * The peer has ended its stream in an orderly way. Called once, after the last `receive`.
   *
   * @param handedOn - Called once all data and the end have been passed to the system; never if the connection breaks.
   */
  end(handedOn?: () => void): void;
}

/** Reads from one side of a connection. */
export interface ByteReader {
  /** Whether unread data stays in the kernel, so that nothing is buffered in this process. */
  readonly leavesBytesToSystem: boolean;
  /**
   * Reads exactly `length` bytes. Never consumes more of the socket than all exact reads together.
   *
   * @returns The bytes; the caller owns them.
   * @throws EarlyEnd at the end of the stream, or if the socket was closed.
   */
  readExactly(length: number): Promise<Uint8Array>;
  /** All bytes received for exact reads so far, to diagnose what the peer sent instead. */
  arrivedSoFar?(): Uint8Array;
  /** Passes all further data to `sink`. Call it once, when no exact read is pending. */
  flowInto(sink: ByteSink): void;
  /** Continues reading after `receive` returned false. */
  resume(): void;
}
