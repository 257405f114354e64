/**
 * Tells in log lines what a tunnel reports.
 */

import type { TunnelEvents } from "../tunnel/listener.js";
import { describeEnd, type Log } from "./log.js";

/** A limit that is reached again and again is said once in this time. */
const REPEAT_MS = 60_000;

/**
 * Makes the listener that writes log lines.
 *
 * @param now - The time in milliseconds.
 */
export function createTunnelLog(log: Log, now: () => number = () => performance.now()): TunnelEvents {
  let limitSaidAt = Number.NEGATIVE_INFINITY;
  return {
    connectionEnded(report) {
      const text = describeEnd(report);
      if (text !== undefined) log.line(text);
    },
    limitReached(maxConnections) {
      if (now() - limitSaidAt < REPEAT_MS) return;
      limitSaidAt = now();
      log.line(`${maxConnections} connections are open, as many as -n allows; further clients wait`);
    },
    listenFailed(error) {
      log.error(error);
    },
  };
}
