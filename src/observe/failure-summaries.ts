/**
 * Limits how many messages failing connections cause. Of each kind of failure, the first ten in a minute are logged; the
 * rest become one summary when the minute is over, or on `flush`.
 *
 * Each kind has a limit of its own, so a flood of unauthenticated clients cannot hide the failure of an authenticated one.
 * Memory is bounded: a few dozen kinds for each key, and a few hundred addresses for each kind.
 */

import type { Clock } from "../clock.js";
import type { SomeFacts } from "./entry.js";

/** Messages of one kind in one minute before the rest are summed up. */
const MAX_WRITTEN = 10;
const MINUTE_MS = 60_000;
/** Distinct addresses that are tracked for each kind; beyond them, a summary says "more than 256 addresses". */
const MAX_ADDRESSES = 256;

/** One failure. */
export interface Failure {
  /** Identifies the kind. Values must come from closed sets, so that peers cannot create kinds without limit. */
  readonly facts: SomeFacts;
  /** The text that a summary quotes, if this is the last failure of its kind. */
  readonly example: string | undefined;
  /** The client's address without its port. */
  readonly from: string;
  /** Logs this failure by itself. */
  readonly write: () => void;
}

/** Failures of one kind that were not logged one by one. */
export interface Sum {
  /** The last of them. */
  readonly of: Pick<Failure, "facts" | "example">;
  readonly count: number;
  /** The number of distinct addresses; with `moreAddresses`, a lower bound. */
  readonly addresses: number;
  readonly moreAddresses: boolean;
  readonly mostFrom: string;
  /** How many came from `mostFrom`; a lower bound if `moreAddresses`. */
  readonly mostCount: number;
  readonly spanMs: number;
}

/** Logs failures, or counts them for a summary. */
export class FailureSummaries {
  readonly #writeSum: (sum: Sum) => void;
  readonly #clock: Clock;
  readonly #kinds = new Map<string, Kind>();
  #startedAt = 0;

  /** @param writeSum - Logs a summary. */
  constructor(writeSum: (sum: Sum) => void, clock: Clock) {
    this.#writeSum = writeSum;
    this.#clock = clock;
  }

  /** Logs a failure, or counts it for the summary. */
  add(failure: Failure): void {
    if (this.#kinds.size === 0) this.#startMinute();
    const name = Object.values(failure.facts).join(" ");
    let kind = this.#kinds.get(name);
    if (kind === undefined) {
      kind = new Kind();
      this.#kinds.set(name, kind);
    }
    if (kind.written < MAX_WRITTEN) {
      kind.written += 1;
      failure.write();
    } else {
      kind.sum(failure);
    }
  }

  /** Logs all pending summaries now. */
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
    // An earlier flush may have ended this minute already.
    this.#clock.later(() => {
      if (this.#startedAt === startedAt) this.flush();
    }, MINUTE_MS);
  }
}

class Kind {
  written = 0;
  #count = 0;
  #last: Failure | undefined;
  /** Failures by address, less what {@link #forgetRare} subtracted. */
  readonly #counts = new Map<string, number>();
  #distinct = 0;
  #hasForgotten = false;

  sum(failure: Failure): void {
    this.#count += 1;
    this.#last = failure;
    const count = this.#counts.get(failure.from);
    if (count !== undefined) this.#counts.set(failure.from, count + 1);
    else if (this.#counts.size < MAX_ADDRESSES) {
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
      addresses: this.#hasForgotten ? MAX_ADDRESSES : this.#distinct,
      moreAddresses: this.#hasForgotten,
      mostFrom,
      mostCount,
      spanMs,
    };
  }

  /** Subtracts one from every address, so that one with more failures than all rare ones together is never evicted. */
  #forgetRare(): void {
    this.#hasForgotten = true;
    for (const [from, count] of this.#counts) {
      if (count > 1) this.#counts.set(from, count - 1);
      else this.#counts.delete(from);
    }
  }
}
