/**
 * Fair shares of the event loop. libuv gives a socket that has more to read up to 32 reads before it looks at any other;
 * a direction of a connection reads no more than its share, and then rests until all others have had their turn.
 *
 * Turns are counted only where somebody rests, so whoever has little to say never pays for them.
 */

/** Bytes of a direction's turn while nobody else reads. */
export const WHOLE_SHARE_BYTES = 256 * 1_024;
/** Bytes of a direction's turn while others read too. */
export const FAIR_SHARE_BYTES = 64 * 1_024;

/** A direction that takes turns. */
export interface Scheduled {
  /** Its next turn has come. */
  readOn(): void;
}

/** Gives each direction its share of a turn of the event loop. One for all connections of a process. */
export class FairScheduler {
  readonly #whenAllHadTheirTurn: (callback: () => void) => void;
  #number = 0;
  /** Who has read in this turn, and whether more than one did, in this turn or the one before. */
  #reader: FairShare | undefined;
  #areMany = false;
  #wereMany = false;
  #resting: Scheduled[] = [];

  /** @param whenAllHadTheirTurn - Calls back when the event loop has looked at all sockets once. */
  constructor(whenAllHadTheirTurn: (callback: () => void) => void = setImmediate) {
    this.#whenAllHadTheirTurn = whenAllHadTheirTurn;
  }

  /** @internal The number of the turn, which `share` reads in. */
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
    if (this.#resting.length === 0) this.#whenAllHadTheirTurn(this.#next);
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
  readonly #turns: FairScheduler;
  readonly #reader: Scheduled;
  #turn = 0;
  #spentBytes = 0;

  constructor(turns: FairScheduler, reader: Scheduled) {
    this.#turns = turns;
    this.#reader = reader;
  }

  /**
   * Says that `bytes` were read.
   *
   * @returns Whether there may be more in this turn.
   */
  spend(bytes: number): boolean {
    const turn = this.#turns.read(this);
    this.#spentBytes = turn === this.#turn ? this.#spentBytes + bytes : bytes;
    this.#turn = turn;
    return this.#spentBytes < this.#turns.shareBytes;
  }

  /** Calls `readOn` of the direction in the next turn. */
  rest(): void {
    this.#turns.rest(this.#reader);
  }
}
