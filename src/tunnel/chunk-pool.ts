/**
 * Buffers for outgoing data. A chunk is taken for each read, written to the socket, and returned when the system has
 * taken its bytes. Idle connections use none.
 *
 * Packets and cleartext have separate pools, so memory that contained cleartext is never sent as packets.
 */

/**
 * Chunk sizes: one packet, four, a read of `SMALL_READ_BYTES`, the largest read. Small sizes keep slow readers of small
 * messages from occupying 68 KiB each.
 */
const LENGTHS = [1_060, 4 * 1_060, 16 * 1_060, 68 * 1_024] as const;

/** Free chunks kept for reuse, in bytes per size. */
const KEPT_BYTES = 1_024 * 1_024;

/** Told when a chunk's bytes are written. */
export interface ChunkOwner {
  /** The chunk's bytes are written, or never will be. */
  released(chunk: Chunk): void;
}

/** The total size of all chunks in use. */
export class ChunkBudget {
  readonly limitBytes: number;
  usedBytes = 0;

  /** @param limitBytes - Above this, each read takes one packet at a time. */
  constructor(limitBytes: number) {
    this.limitBytes = limitBytes;
  }
}

/** A piece of memory for outgoing data. */
export class Chunk {
  readonly memory: Uint8Array;
  readonly #pool: FreeList;
  #owner: ChunkOwner | undefined;

  constructor(length: number, pool: FreeList) {
    this.memory = Buffer.allocUnsafeSlow(length).fill(0);
    this.#pool = pool;
  }

  /** Sets who is told when the chunk is written. */
  lend(owner: ChunkOwner): void {
    this.#owner = owner;
  }

  /** Write callback, reused for every use of this chunk. */
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
    this.#budget.usedBytes += this.length;
    return this.#free.pop() ?? new Chunk(this.length, this);
  }

  push(chunk: Chunk): void {
    this.#budget.usedBytes -= this.length;
    if (this.#free.length < this.#most) this.#free.push(chunk);
  }
}

/** Hands out chunks and takes them back when they are written. Pools never share memory. */
export class ChunkPool {
  /** Counts the chunks in use. */
  readonly budget: ChunkBudget;
  readonly #lists: readonly FreeList[];

  constructor(budget: ChunkBudget) {
    this.budget = budget;
    this.#lists = LENGTHS.map((length) => new FreeList(length, KEPT_BYTES, budget));
  }

  /** A chunk of at least `length` bytes, with arbitrary old contents. */
  take(length: number): Chunk {
    const list = this.#lists.find((one) => length <= one.length) ?? new FreeList(length, 0, this.budget);
    return list.pop();
  }
}
