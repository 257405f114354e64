/**
 * Memory for bytes on their way out. A chunk is taken for each read, goes to the socket, and comes back when the
 * system has taken its bytes; idle connections hold none.
 *
 * There is one pool for packets and one for cleartext, so memory that held cleartext is never sent as packets.
 */

/** Bytes that one read may become; larger reads do not occur. */
const LARGE_LENGTH = 68 * 1_024;
/** Most messages are small: with a class of their own, a slow reader of them does not hold 68 KiB for each. */
const SMALL_LENGTH = 4 * 1_060;

/** Free chunks that are kept for later, in bytes, for each size. */
const KEPT_BYTES = 4 * 1_024 * 1_024;

/** Whoever waits for a chunk's bytes to be written. */
export interface ChunkOwner {
  /** The chunk's bytes are written, or never will be. */
  released(chunk: Chunk): void;
}

/** A piece of memory on its way out. */
export class Chunk {
  readonly memory: Uint8Array;
  readonly #pool: FreeList;
  #owner: ChunkOwner | undefined;

  constructor(length: number, pool: FreeList) {
    this.memory = Buffer.allocUnsafeSlow(length).fill(0);
    this.#pool = pool;
  }

  /** Gives the chunk to whoever writes it. */
  lend(owner: ChunkOwner): void {
    this.#owner = owner;
  }

  /** The callback of the write; the same function for each use of this chunk. */
  readonly written = (): void => {
    const owner = this.#owner;
    this.#owner = undefined;
    this.#pool.push(this);
    owner?.released(this);
  };
}

class FreeList {
  readonly #length: number;
  readonly #most: number;
  readonly #free: Chunk[] = [];

  constructor(length: number) {
    this.#length = length;
    this.#most = Math.ceil(KEPT_BYTES / length);
  }

  pop(): Chunk {
    return this.#free.pop() ?? new Chunk(this.#length, this);
  }

  push(chunk: Chunk): void {
    if (this.#free.length < this.#most) this.#free.push(chunk);
  }
}

/** See the head of this file. */
export class ChunkPool {
  readonly #small = new FreeList(SMALL_LENGTH);
  readonly #large = new FreeList(LARGE_LENGTH);

  /** A chunk of at least `length` bytes; its contents are whatever it held before. */
  take(length: number): Chunk {
    if (length <= SMALL_LENGTH) return this.#small.pop();
    if (length <= LARGE_LENGTH) return this.#large.pop();
    return new FreeList(length).pop();
  }
}
