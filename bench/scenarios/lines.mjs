// A metrics load: lines of 80 bytes, each written separately.

import { measure } from "../pair.mjs";
import { cpuFigures, cpuPer, inMillis, latencyFigures } from "./figures.mjs";

const WARM_UP_LINES = 50_000;

export function lines({ count, kinds, timesARound }) {
  const title = "80-byte lines at full speed";
  return {
    id: "lines-full-speed",
    kinds,
    timesARound,
    figures: {
      linesPerSecond: { title, unit: "/s", digits: 0, more: true },
      ...latencyFigures(title, "median age", "ms"),
      ...cpuFigures(title, "CPU µs a line", 2),
    },
    async run(kind) {
      const { linesPerSecond, cpuSeconds, ...ages } = await measure(kind, "lines", [count, 0], {
        warmUp: [WARM_UP_LINES, 0],
      });
      return { linesPerSecond, ...inMillis(ages), ...cpuPer(cpuSeconds, count / 1e6) };
    },
  };
}

export function steadyLines({ rate, seconds, kinds, timesARound }) {
  const title = `80-byte lines, ${rate.toLocaleString("en")} a second`;
  return {
    id: `lines-${rate}`,
    kinds,
    timesARound,
    figures: {
      ...latencyFigures(title, "median age"),
      ...cpuFigures(title, "CPU µs a line", 1),
    },
    async run(kind) {
      const { cpuSeconds, ...ages } = await measure(kind, "lines", [rate * seconds, rate], {
        warmUp: [WARM_UP_LINES, 0],
      });
      return { ...ages, ...cpuPer(cpuSeconds, (rate * seconds) / 1e6) };
    },
  };
}
