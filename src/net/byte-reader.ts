/**
 * The reading half of a connection: first a known number of bytes exactly, which the handshake wants, then whatever
 * comes. `socket-reader.ts` reads sockets into shared memory; `stream-reader.ts` reads any other stream.
 */

/** Where bytes go after the exact reads. */
export interface ByteSink {
  /** The most bytes that the next `receive` wants, 1 at least; asked when the read is prepared, which may be long before. */
  readonly mostBytes: number;
  /**
   * Takes what one read gave.
   *
   * @param bytes - At least 1 byte; the reader's memory, valid only until this returns.
   * @returns False to stop reading until `resume`.
   */
  receive(bytes: Uint8Array): boolean;
  /**
   * The other side has ended its stream in an orderly way; called once, after the last `receive`.
   *
   * @param handedOn - Told when everything, the end too, is with the system; never where the connection breaks.
   */
  end(handedOn?: () => void): void;
}

/** Reads from one side of a connection. */
export interface ByteReader {
  /** Whether bytes that nobody has read yet are with the system alone, so that the next read gives all of them. */
  readonly leavesBytesToSystem: boolean;
  /**
   * Reads exactly `length` bytes, never a byte more off the socket than all exact reads together.
   *
   * @returns The bytes; they belong to the caller.
   * @throws SpipedError `SPIPED_HANDSHAKE_ENDED` at the end of the stream, `SPIPED_RESET` where the socket was closed.
   */
  readExactly(length: number): Promise<Uint8Array>;
  /** What has come for exact reads so far, whole or not; for whoever wants to know what came instead. */
  arrivedSoFar?(): Uint8Array;
  /** Lets all further bytes flow into `sink`. Called once, when no exact read is under way. */
  flowInto(sink: ByteSink): void;
  /** Reads on after `receive` returned false. */
  resume(): void;
}
