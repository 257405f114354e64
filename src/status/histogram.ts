/**
 * How often something took how long, in a fixed number of counters: what Prometheus calls a histogram.
 */

/** A histogram as plain data. */
export interface HistogramFigures {
  /** Upper bounds of the buckets in seconds, ascending; one more bucket takes what is above the last. */
  readonly bounds: readonly number[];
  /** How many fell into each bucket alone; one more than there are bounds. */
  readonly counts: readonly number[];
  readonly sum: number;
}

/** Bounds in seconds for handshakes: from the next machine to the other side of the world, with packets lost. */
export const HANDSHAKE_BOUNDS = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10] as const;

/** Bounds in seconds for connections: from one request to a week. */
export const CONNECTION_BOUNDS = [0.1, 1, 10, 60, 600, 3_600, 21_600, 86_400, 604_800] as const;

/** Bounds in seconds for how late a timer is. */
export const DELAY_BOUNDS = [0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 5] as const;

/** See the head of this file. */
export class Histogram {
  readonly #bounds: readonly number[];
  readonly #counts: number[];
  #sum = 0;

  /** @param bounds - As {@link HistogramFigures.bounds}. */
  constructor(bounds: readonly number[]) {
    this.#bounds = bounds;
    this.#counts = new Array<number>(bounds.length + 1).fill(0);
  }

  add(seconds: number): void {
    let bucket = 0;
    for (const bound of this.#bounds) {
      if (seconds <= bound) break;
      bucket += 1;
    }
    this.#counts[bucket] = (this.#counts[bucket] ?? 0) + 1;
    this.#sum += seconds;
  }

  /** A copy of what there is now. */
  get figures(): HistogramFigures {
    return { bounds: this.#bounds, counts: [...this.#counts], sum: this.#sum };
  }
}

/** How many were counted. */
export function countOf({ counts }: HistogramFigures): number {
  return counts.reduce((sum, count) => sum + count, 0);
}

/**
 * The value in seconds that the given share stays below, taken as even within its bucket; undefined where nothing was
 * counted. Above the last bound it is the last bound.
 */
export function quantileOf(figures: HistogramFigures, share: number): number | undefined {
  const { bounds, counts } = figures;
  const total = countOf(figures);
  if (total === 0) return undefined;
  const rank = share * total;
  let below = 0;
  let lower = 0;
  for (const [bucket, upper] of bounds.entries()) {
    const count = counts[bucket] ?? 0;
    if (count > 0 && below + count >= rank) return lower + ((upper - lower) * (rank - below)) / count;
    below += count;
    lower = upper;
  }
  return lower;
}
