// Figures shared by several scenarios.

/** Latency: the median and the 99th percentile. */
export function latencyFigures(title, what = "median", unit = "µs") {
  const digits = unit === "ms" ? 2 : 0;
  return {
    [`median${unit === "ms" ? "Millis" : "Micros"}`]: { title: `${title}: ${what}`, unit, digits, more: false },
    [`p99${unit === "ms" ? "Millis" : "Micros"}`]: { title: `${title}: 99th percentile`, unit, digits, more: false },
  };
}

/** Converts a load generator figure from µs to ms. */
export function inMillis({ medianMicros, p99Micros }) {
  return { medianMillis: medianMicros / 1_000, p99Millis: p99Micros / 1_000 };
}

/** CPU time of each end and of both. */
export function cpuFigures(title, unit, digits) {
  return {
    cpuNear: { title: `${title}: -e end`, unit, digits, more: false },
    cpuFar: { title: `${title}: -d end`, unit, digits, more: false },
    cpuBoth: { title: `${title}: both ends`, unit, digits, more: false },
  };
}

/** CPU time per unit of `amount`; empty for a kind that has no ends. */
export function cpuPer(cpuSeconds, amount) {
  if (cpuSeconds === undefined) return {};
  const [cpuNear, cpuFar] = [cpuSeconds.near / amount, cpuSeconds.far / amount];
  return { cpuNear, cpuFar, cpuBoth: cpuNear + cpuFar };
}

/** `count` with thousands separators, and its noun. */
export function many(count, what) {
  return `${count.toLocaleString("en")} ${what}${count === 1 ? "" : "s"}`;
}
