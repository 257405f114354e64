/**
 * One word about all tunnels, for load balancers and service managers.
 */

import type { States } from "./snapshot.js";

/** Whether all is well, and the word. */
export interface Health {
  readonly isWell: boolean;
  readonly word: "ok" | "starting" | "not accepting" | "draining";
}

/** The answer to `/healthz`. A tunnel that a reload has taken out is missed by nobody; with no tunnel nobody is let in. */
export function healthOf({ isStopping, tunnels }: States): Health {
  if (isStopping) return { isWell: false, word: "draining" };
  const wanted = tunnels.filter(({ state }) => state !== "removed");
  if (wanted.some(({ state }) => state === "starting")) return { isWell: false, word: "starting" };
  if (wanted.some(({ state }) => state === "draining")) return { isWell: false, word: "draining" };
  if (wanted.length === 0 || wanted.some(({ isAccepting }) => !isAccepting))
    return { isWell: false, word: "not accepting" };
  return { isWell: true, word: "ok" };
}
