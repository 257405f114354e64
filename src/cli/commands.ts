/**
 * Both commands, as `bin/` starts them once signals are heard. `scripts/build-commands.mjs` makes one file of what is
 * loaded from here.
 */

import { run } from "./run.js";

/** Runs `spiped` to its end, and the process's. */
export function spiped(): Promise<void> {
  return run("spiped", () => import("./spiped.js"));
}

/** Runs `spipe` to its end, and the process's. */
export function spipe(): Promise<void> {
  return run("spipe", () => import("./spipe.js"));
}
