/**
 * Failures of connections in few entries, however many there are: of each kind the first ten in a minute are written out,
 * and what comes behind them is summed in one entry when the minute is over, or the program.
 *
 * Kinds are counted each for itself, so that a crowd of strangers hides no friend's failure. What is kept of a minute is
 * bounded: there are a few dozen kinds for each key, and each remembers a few hundred addresses.
 */

import type { Clock } from "../clock.js";
import type { SomeFacts } from "./entry.js";

/** Entries of one kind in one minute. */
const WRITTEN_OUT = 10;
const MINUTE_MS = 60_000;
/** Addresses that are told apart; more of them are "more than" so many. */
const MOST_ADDRESSES = 256;

/** One failure. */
export interface Failure {
  /** What it has in common with those that it is summed with; out of closed lists, whatever peers do. */
  readonly facts: SomeFacts;
  /** What of this one to say as an example, in the sum. */
  readonly example: string | undefined;
  /** Where it came from, without a port. */
  readonly from: string;
  /** Writes it out. */
  readonly write: () => void;
}

/** Failures of one kind that were not written out. */
export interface Sum {
  /** The last of them. */
  readonly of: Pick<Failure, "facts" | "example">;
  readonly count: number;
  /** From how many addresses they came; with `moreAddresses`, from more than that. */
  readonly addresses: number;
  readonly moreAddresses: boolean;
  readonly mostFrom: string;
  /** How many came from there; too small where addresses were forgotten. */
  readonly mostCount: number;
  readonly spanMs: number;
}

/** See the head of this file. */
export class Failures {
  readonly #writeSum: (sum: Sum) => void;
  readonly #clock: Clock;
  readonly #kinds = new Map<string, Kind>();
  #startedAt = 0;

  /** @param writeSum - Writes a sum. */
  constructor(writeSum: (sum: Sum) => void, clock: Clock) {
    this.#writeSum = writeSum;
    this.#clock = clock;
  }

  /** Writes a failure out, or keeps it for the sum. */
  add(failure: Failure): void {
    if (this.#kinds.size === 0) this.#startMinute();
    const name = Object.values(failure.facts).join(" ");
    let kind = this.#kinds.get(name);
    if (kind === undefined) {
      kind = new Kind();
      this.#kinds.set(name, kind);
    }
    if (kind.writtenOut < WRITTEN_OUT) {
      kind.writtenOut += 1;
      failure.write();
    } else {
      kind.sum(failure);
    }
  }

  /** Writes the sums of what has not been written out. */
  flush(): void {
    const spanMs = this.#clock.now() - this.#startedAt;
    for (const kind of this.#kinds.values()) {
      const sum = kind.total(spanMs);
      if (sum !== undefined) this.#writeSum(sum);
    }
    this.#kinds.clear();
  }

  #startMinute(): void {
    const startedAt = this.#clock.now();
    this.#startedAt = startedAt;
    // Unless it has been flushed before its end, and another one has begun.
    this.#clock.later(() => {
      if (this.#startedAt === startedAt) this.flush();
    }, MINUTE_MS);
  }
}

class Kind {
  writtenOut = 0;
  #count = 0;
  #last: Failure | undefined;
  /** How often each address came, less what {@link #forgetRare} took from all of them. */
  readonly #counts = new Map<string, number>();
  #distinct = 0;
  #hasForgotten = false;

  sum(failure: Failure): void {
    this.#count += 1;
    this.#last = failure;
    const count = this.#counts.get(failure.from);
    if (count !== undefined) this.#counts.set(failure.from, count + 1);
    else if (this.#counts.size < MOST_ADDRESSES) {
      this.#distinct += 1;
      this.#counts.set(failure.from, 1);
    } else this.#forgetRare();
  }

  total(spanMs: number): Sum | undefined {
    const last = this.#last;
    if (last === undefined) return undefined;
    const [mostFrom = last.from, mostCount = 0] = [...this.#counts].reduce<[string?, number?]>(
      (best, [from, times]) => (times > (best[1] ?? 0) ? [from, times] : best),
      [],
    );
    return {
      of: last,
      count: this.#count,
      addresses: this.#hasForgotten ? MOST_ADDRESSES : this.#distinct,
      moreAddresses: this.#hasForgotten,
      mostFrom,
      mostCount,
      spanMs,
    };
  }

  /** Takes one from each, so that an address that comes more often than all rare ones together always stays. */
  #forgetRare(): void {
    this.#hasForgotten = true;
    for (const [from, count] of this.#counts) {
      if (count > 1) this.#counts.set(from, count - 1);
      else this.#counts.delete(from);
    }
  }
}
