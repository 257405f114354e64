/**
 * The entry points of `bin/`. `scripts/build-commands.mjs` bundles what is loaded from here.
 */

import { run } from "./run.js";

/** Runs `spiped` and exits. */
export function spiped(): Promise<void> {
  return run("spiped", () => import("./spiped.js"));
}

/** Runs `spipe` and exits. */
export function spipe(): Promise<void> {
  return run("spipe", () => import("./spipe.js"));
}
