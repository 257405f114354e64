// Whether figures stay flat, by two measures, since noise can deceive either: the medians of the first and the last
// quarter, and the Theil-Sen slope (the median of the slopes between all pairs), which up to a third of outliers does
// not move. Real growth shows in both.

/** The median. */
export function median(values) {
  const sorted = Float64Array.from(values).sort();
  const middle = sorted.length >> 1;
  if (sorted.length === 0) return Number.NaN;
  return sorted.length % 2 === 1 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2;
}

/** How much values grow from the first moment to the last. */
export function growth(times, values) {
  const slopes = [];
  // More points add nothing, and the number of pairs grows with their square.
  const step = Math.max(1, Math.ceil(times.length / 400));
  for (let one = 0; one < times.length; one += step) {
    for (let other = one + step; other < times.length; other += step) {
      slopes.push((values[other] - values[one]) / (times[other] - times[one]));
    }
  }
  return median(slopes) * (times.at(-1) - times[0]);
}

/**
 * Judges one series.
 *
 * @param most How much it may grow, in its own unit.
 */
export function judge(times, values, most) {
  const quarter = Math.max(1, Math.floor(values.length / 4));
  const first = median(values.slice(0, quarter));
  const last = median(values.slice(-quarter));
  const grown = growth(times, values);
  return { first, last, grown, isFlat: Number.isFinite(grown) && !(last - first > most && grown > most) };
}
