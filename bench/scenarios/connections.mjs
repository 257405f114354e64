// New connections: connect, handshake, one byte there and back, and close.

import { measure } from "../pair.mjs";
import { cpuFigures, cpuPer, latencyFigures } from "./figures.mjs";

/**
 * @param flags - `-f` disables forward secrecy.
 * @param warmUp - Connections made first that do not count: a process that runs for years is warm.
 */
export function connections(parallel, flags, { count, warmUp, kinds }) {
  const title = `new connections, ${parallel} at once${flags.length > 0 ? ", -f" : ""}`;
  return {
    id: `connections-${parallel}${flags.length > 0 ? "-without-forward-secrecy" : ""}`,
    kinds,
    figures: {
      connectionsPerSecond: { title, unit: "/s", digits: 0, more: true },
      ...latencyFigures(title),
      ...cpuFigures(title, "CPU ms each", 2),
    },
    async run(kind) {
      const { cpuSeconds, ...result } = await measure(kind, "handshakes", [count, parallel], {
        flags,
        warmUp: [warmUp, parallel],
      });
      return { ...result, ...cpuPer(cpuSeconds, count / 1_000) };
    },
  };
}
