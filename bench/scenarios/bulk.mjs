// Bulk throughput through one connection or several, one way or both.

import { measure } from "../pair.mjs";
import { cpuFigures, cpuPer, many } from "./figures.mjs";

const WARM_UP_BYTES = 40e6;

export function bulk(connections, direction, { bytes, kinds }) {
  const title = `bulk, ${many(connections, "connection")}, ${direction === "both" ? "both ways" : direction}`;
  return {
    id: `bulk-${connections}-${direction}`,
    kinds,
    figures: {
      megabytesPerSecond: { title, unit: "MB/s", digits: 0, more: true },
      ...cpuFigures(title, "CPU s/GB", 2),
      ...(connections > 1 && threadFigures(title)),
      ...(direction === "forward" && {
        peakMegabytes: { title: `${title}: peak memory of the larger end`, unit: "MB", digits: 1, more: false },
      }),
    },
    async run(kind) {
      const warmUp = [WARM_UP_BYTES / connections, connections, direction];
      const result = await measure(kind, "bulk", [bytes, connections, direction], { warmUp });
      return {
        megabytesPerSecond: result.megabytesPerSecond,
        peakMegabytes: result.peakMegabytes,
        ...cpuPer(result.cpuSeconds, result.bytes / 1e9),
        ...threadsAtWork(result),
      };
    },
  };
}

/**
 * How the work spreads over threads. Both ends and the load share the machine's cores, so the number of cores an end
 * uses says little about how many it could use. How evenly its threads share its work does.
 */
function threadFigures(title) {
  const sharing = "threads' CPU time ÷ that of the busiest";
  return {
    coresNear: { title: `${title}: cores in use, -e end`, unit: "cores", digits: 2, more: true },
    coresFar: { title: `${title}: cores in use, -d end`, unit: "cores", digits: 2, more: true },
    sharingNear: { title: `${title}: ${sharing}, -e end`, unit: "cores", digits: 2, more: true },
    sharingFar: { title: `${title}: ${sharing}, -d end`, unit: "cores", digits: 2, more: true },
  };
}

function threadsAtWork({ seconds, threadSeconds }) {
  if (threadSeconds === undefined) return {};
  const sum = (times) => times.reduce((total, one) => total + one, 0);
  const { near, far } = threadSeconds;
  return {
    coresNear: sum(near) / seconds,
    coresFar: sum(far) / seconds,
    sharingNear: sum(near) / Math.max(...near),
    sharingFar: sum(far) / Math.max(...far),
  };
}
