// Round-trip latency: alone, and next to connections that send at full speed.

import { measure } from "../pair.mjs";
import { cpuFigures, cpuPer, inMillis, latencyFigures, many } from "./figures.mjs";

export function pingPong(size, { count, kinds, timesARound }) {
  const title = `ping-pong of ${size < 1_024 ? `${size} bytes` : `${size / 1_024} KiB`}`;
  return {
    id: `ping-pong-${size}`,
    kinds,
    timesARound,
    figures: { ...latencyFigures(title), ...cpuFigures(title, "CPU µs a round trip", 0) },
    async run(kind) {
      const { cpuSeconds, ...result } = await measure(kind, "pingpong", [size, count], { warmUp: [size, count / 10] });
      return { ...result, ...cpuPer(cpuSeconds, count / 1e6) };
    },
  };
}

export function requestsBesideBulk(transfers, { seconds, kinds }) {
  const title = `64-byte requests next to ${many(transfers, "full-speed transfer")}`;
  return {
    id: "requests-beside-bulk",
    kinds,
    figures: {
      ...latencyFigures(title, "median", "ms"),
      megabytesPerSecond: { title: `${title}: the transfers, MB/s together`, unit: "MB/s", digits: 0, more: true },
    },
    async run(kind) {
      const result = await measure(kind, "beside", [seconds, transfers]);
      return { ...inMillis(result), megabytesPerSecond: result.megabytesPerSecond };
    },
  };
}
