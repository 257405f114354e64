/**
 * Fair scheduling of reads. libuv reads up to 32 times from a socket with more data before it looks at any other. Here,
 * a direction of a connection reads at most its share per iteration of the event loop, then yields until all others
 * have been served.
 *
 * Iterations are counted only while a direction is yielding, so quiet connections pay nothing.
 */

/** Share of a direction while no other is reading. */
export const WHOLE_SHARE_BYTES = 256 * 1_024;
/** Share of a direction while others are reading too. */
export const FAIR_SHARE_BYTES = 64 * 1_024;

/** A direction that yields. */
export interface Scheduled {
  /** Called when it may read again. */
  readOn(): void;
}

/** Divides each iteration of the event loop among the directions that read. One for all connections of a process. */
export class FairScheduler {
  readonly #afterPoll: (callback: () => void) => void;
  #number = 0;
  /** Who has read in this iteration, and whether more than one did in this or the previous one. */
  #reader: FairShare | undefined;
  #areMany = false;
  #wereMany = false;
  #resting: Scheduled[] = [];

  /** @param afterPoll - Calls back when the event loop has polled all sockets once. */
  constructor(afterPoll: (callback: () => void) => void = setImmediate) {
    this.#afterPoll = afterPoll;
  }

  /** @internal Returns the number of the iteration that `share` is reading in. */
  read(share: FairShare): number {
    if (this.#reader === undefined) this.#reader = share;
    else if (this.#reader !== share) this.#areMany = true;
    return this.#number;
  }

  /** @internal */
  get shareBytes(): number {
    return this.#areMany || this.#wereMany ? FAIR_SHARE_BYTES : WHOLE_SHARE_BYTES;
  }

  /** @internal */
  rest(reader: Scheduled): void {
    if (this.#resting.length === 0) this.#afterPoll(this.#next);
    this.#resting.push(reader);
  }

  readonly #next = (): void => {
    this.#number += 1;
    this.#wereMany = this.#areMany;
    this.#areMany = false;
    this.#reader = undefined;
    const rested = this.#resting;
    this.#resting = [];
    for (const reader of rested) reader.readOn();
  };
}

/** One direction's share. */
export class FairShare {
  readonly #scheduler: FairScheduler;
  readonly #reader: Scheduled;
  #turn = 0;
  #spentBytes = 0;

  constructor(scheduler: FairScheduler, reader: Scheduled) {
    this.#scheduler = scheduler;
    this.#reader = reader;
  }

  /**
   * Records a read of `bytes`.
   *
   * @returns Whether it may read more in this iteration.
   */
  spend(bytes: number): boolean {
    const turn = this.#scheduler.read(this);
    this.#spentBytes = turn === this.#turn ? this.#spentBytes + bytes : bytes;
    this.#turn = turn;
    return this.#spentBytes < this.#scheduler.shareBytes;
  }

  /** Calls `readOn` of the direction in the next iteration. */
  rest(): void {
    this.#scheduler.rest(this.#reader);
  }
}
