/**
 * Failures of connections in few lines, however many there are: of each kind the first ten in a minute are written out,
 * and what comes behind them is summed in one line when the minute is over, or the program.
 *
 * Kinds are counted each for itself, so that a crowd of strangers hides no friend's failure. What is kept of a minute is
 * bounded: there are a few dozen kinds, and each remembers a few hundred addresses.
 */

import type { Clock } from "../clock.js";

/** Lines of one kind in one minute. */
const WRITTEN_OUT = 10;
const MINUTE_MS = 60_000;
/** Addresses that are told apart; more of them are "more than" so many. */
const MOST_ADDRESSES = 256;

/** One failure. */
export interface Failure {
  /** What it has in common with those that it is summed with; out of a closed list, whatever peers do. */
  readonly kind: string;
  /** How the sum calls these failures. */
  readonly name: string;
  /** What of this one to say as an example, in the sum. */
  readonly example: string | undefined;
  /** Where it came from, without a port. */
  readonly from: string;
  /** What to write where it is written out. */
  readonly lines: readonly string[];
}

/** See the head of this file. */
export class Failures {
  readonly #write: (line: string) => void;
  readonly #clock: Clock;
  readonly #kinds = new Map<string, Kind>();
  #startedAt = 0;

  /** @param write - Writes one line. */
  constructor(write: (line: string) => void, clock: Clock) {
    this.#write = write;
    this.#clock = clock;
  }

  /** Writes a failure out, or keeps it for the sum. */
  add(failure: Failure): void {
    if (this.#kinds.size === 0) this.#startMinute();
    let kind = this.#kinds.get(failure.kind);
    if (kind === undefined) {
      kind = new Kind();
      this.#kinds.set(failure.kind, kind);
    }
    if (kind.writtenOut < WRITTEN_OUT) {
      kind.writtenOut += 1;
      for (const line of failure.lines) this.#write(line);
    } else {
      kind.sum(failure);
    }
  }

  /** Writes the sums of what has not been written out. */
  flush(): void {
    const seconds = Math.max(1, Math.round((this.#clock.now() - this.#startedAt) / 1_000));
    for (const kind of this.#kinds.values()) {
      const line = kind.describe(seconds === 60 ? "minute" : `${seconds} s`);
      if (line !== undefined) this.#write(line);
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
  #summed = 0;
  #last: Failure | undefined;
  /** How often each address came, less what {@link #forgetRare} took from all of them. */
  readonly #counts = new Map<string, number>();
  #distinct = 0;
  #hasForgotten = false;

  sum(failure: Failure): void {
    this.#summed += 1;
    this.#last = failure;
    const count = this.#counts.get(failure.from);
    if (count !== undefined) this.#counts.set(failure.from, count + 1);
    else if (this.#counts.size < MOST_ADDRESSES) {
      this.#distinct += 1;
      this.#counts.set(failure.from, 1);
    } else this.#forgetRare();
  }

  /** @param span - What the sum covers: "minute". */
  describe(span: string): string | undefined {
    const last = this.#last;
    if (last === undefined) return undefined;
    const example = last.example === undefined ? "" : `; the last: ${last.example}`;
    const [from, most] = this.#addresses();
    return `${last.name}: and ${grouped(this.#summed)} more from ${from} in the last ${span}${most}${example}`;
  }

  /** How many there are, and who is the most frequent. */
  #addresses(): readonly [from: string, most: string] {
    const [most = "", count = 0] = [...this.#counts].reduce<[string?, number?]>(
      (best, [from, times]) => (times > (best[1] ?? 0) ? [from, times] : best),
      [],
    );
    if (this.#hasForgotten) return [`more than ${MOST_ADDRESSES} addresses`, count > 1 ? `, most from ${most}` : ""];
    if (this.#distinct === 1) return [most, ""];
    return [`${this.#distinct} addresses`, `, most from ${most} (${grouped(count)})`];
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

function grouped(count: number): string {
  return count.toLocaleString("en-US");
}
