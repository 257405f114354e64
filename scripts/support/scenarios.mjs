// Scenarios of a trial: each runs by itself, cleans up after itself, and reports its figures in one line.

import { mkdtempSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { removeAtExit } from "./processes.mjs";

const all = [];
const LIMIT_MS = 60_000;

/** Thrown if the machine lacks what a scenario needs. */
export class Lacking extends Error {}

/** Declares a scenario. `run` gets a {@link Trial}, and returns its figures as one line. */
export function scenario(name, run) {
  all.push({ name, run });
}

/** Cleanup of one scenario, and a folder of its own. */
export class Trial {
  #undos = [];

  afterwards(undo) {
    this.#undos.push(undo);
  }

  folder() {
    const folder = mkdtempSync(join(tmpdir(), "spiped-trial-"));
    removeAtExit(folder);
    return folder;
  }

  async undo() {
    for (const undo of this.#undos.splice(0).reverse()) await undo();
  }
}

/** Runs the scenarios whose names begin with one of `wanted`, or all if it is empty. @returns The exit status. */
export async function runScenarios(wanted) {
  const unknown = wanted.find((prefix) => !all.some(({ name }) => name.startsWith(prefix)));
  if (unknown !== undefined) {
    console.error(`there is no ${unknown}, only:\n${all.map(({ name }) => `  ${name}`).join("\n")}`);
    return 1;
  }
  const counts = { ok: 0, failed: 0, skipped: 0 };
  for (const { name, run } of all) {
    if (wanted.length > 0 && !wanted.some((prefix) => name.startsWith(prefix))) continue;
    const trial = new Trial();
    const begun = performance.now();
    const seconds = () => `${((performance.now() - begun) / 1_000).toFixed(1)} s`;
    try {
      const figures = await run(trial);
      counts.ok += 1;
      console.log(`ok      ${name}: ${figures} (${seconds()})`);
    } catch (error) {
      if (error instanceof Lacking) {
        counts.skipped += 1;
        console.log(`SKIPPED ${name}: ${error.message}`);
      } else {
        counts.failed += 1;
        console.log(`FAILED  ${name} (${seconds()}): ${error.stack}`);
      }
    } finally {
      await trial.undo();
    }
  }
  console.log(`${counts.ok} as promised, ${counts.failed} not, ${counts.skipped} skipped`);
  return counts.failed === 0 && counts.ok > 0 ? 0 : 1;
}

/** Polls until `condition` gives something true. */
export async function until(condition, what, limitMs = LIMIT_MS) {
  for (const limit = performance.now() + limitMs; ; await sleep(5)) {
    const value = await condition();
    if (value) return value;
    if (performance.now() > limit)
      throw new Error(`timed out after ${limitMs / 1_000} s waiting for ${typeof what === "string" ? what : what()}`);
  }
}
