/**
 * Histograms of durations with fixed buckets, as Prometheus has them.
 */

/** A histogram as plain data. */
export interface HistogramFigures {
  /** Upper bounds of the buckets in seconds, ascending; the last bucket has no bound. */
  readonly bounds: readonly number[];
  /** Counts for each bucket, not cumulative; one more than `bounds`. */
  readonly counts: readonly number[];
  readonly sum: number;
}

/** Bounds in seconds for handshakes: from a local network to intercontinental links with packet loss. */
export const HANDSHAKE_BOUNDS = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10] as const;

/** Bounds in seconds for connections: from one request to a week. */
export const CONNECTION_BOUNDS = [0.1, 1, 10, 60, 600, 3_600, 21_600, 86_400, 604_800] as const;

/** Bounds in seconds for event-loop delay. */
export const DELAY_BOUNDS = [0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 5] as const;

/** A histogram that is being filled. */
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

  /** A copy of the current state. */
  get figures(): HistogramFigures {
    return { bounds: this.#bounds, counts: [...this.#counts], sum: this.#sum };
  }
}

/** The total number of values. */
export function countOf({ counts }: HistogramFigures): number {
  return counts.reduce((sum, count) => sum + count, 0);
}

/**
 * Estimates a quantile in seconds by linear interpolation within its bucket. Values above the last bound count as that bound.
 *
 * @returns Undefined for an empty histogram.
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
