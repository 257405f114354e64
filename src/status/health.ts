/**
 * The health of all tunnels in one word, for load balancers and service managers.
 */

import type { States } from "./snapshot.js";

/** The answer to `/healthz`. */
export interface Health {
  readonly isWell: boolean;
  readonly word: "ok" | "starting" | "not accepting" | "draining";
}

/** Combines the states of all tunnels. Removed ones do not count; without any tunnel, the process is not accepting. */
export function healthOf({ isStopping, tunnels }: States): Health {
  if (isStopping) return { isWell: false, word: "draining" };
  const wanted = tunnels.filter(({ state }) => state !== "removed");
  if (wanted.some(({ state }) => state === "starting")) return { isWell: false, word: "starting" };
  if (wanted.some(({ state }) => state === "draining")) return { isWell: false, word: "draining" };
  if (wanted.length === 0 || wanted.some(({ isAccepting }) => !isAccepting))
    return { isWell: false, word: "not accepting" };
  return { isWell: true, word: "ok" };
}
