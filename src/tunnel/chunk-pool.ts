/**
 * Memory for bytes on their way out. A chunk is taken for each read, goes to the socket, and comes back when the
 * system has taken its bytes; idle connections hold none.
 *
 * There is one pool for packets and one for cleartext, so memory that held cleartext is never sent as packets.
 */

/**
 * Bytes that one read may become: one packet, a few, a read of `SMALL_READ_BYTES`, the largest read. With classes of
 * their own, slow readers of small messages do not hold 68 KiB each.
 */
const LENGTHS = [1_060, 4 * 1_060, 16 * 1_060, 68 * 1_024] as const;

/** Free chunks that are kept for later, in bytes, for each size. */
const KEPT_BYTES = 1_024 * 1_024;

/** Whoever waits for a chunk's bytes to be written. */
export interface ChunkOwner {
  /** The chunk's bytes are written, or never will be. */
  released(chunk: Chunk): void;
}

/** What all chunks on their way out take up together. */
export class ChunkBudget {
  readonly limitBytes: number;
  heldBytes = 0;

  /** @param limitBytes - Whoever reads while more is held reads a packet at a time. */
  constructor(limitBytes: number) {
    this.limitBytes = limitBytes;
  }
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
  readonly length: number;
  readonly #budget: ChunkBudget;
  readonly #most: number;
  readonly #free: Chunk[] = [];

  constructor(length: number, keptBytes: number, budget: ChunkBudget) {
    this.length = length;
    this.#most = Math.ceil(keptBytes / length);
    this.#budget = budget;
  }

  pop(): Chunk {
    this.#budget.heldBytes += this.length;
    return this.#free.pop() ?? new Chunk(this.length, this);
  }

  push(chunk: Chunk): void {
    this.#budget.heldBytes -= this.length;
    if (this.#free.length < this.#most) this.#free.push(chunk);
  }
}

/** Gives out chunks and takes them back when they are written. Memory is never shared between two pools. */
export class ChunkPool {
  /** What is taken counts here until it comes back. */
  readonly budget: ChunkBudget;
  readonly #lists: readonly FreeList[];

  constructor(budget: ChunkBudget) {
    this.budget = budget;
    this.#lists = LENGTHS.map((length) => new FreeList(length, KEPT_BYTES, budget));
  }

  /** A chunk of at least `length` bytes; its contents are whatever it held before. */
  take(length: number): Chunk {
    const list = this.#lists.find((one) => length <= one.length) ?? new FreeList(length, 0, this.budget);
    return list.pop();
  }
}
