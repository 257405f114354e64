// Load: very many connections, very many bytes, and clients and services that misbehave. Every connection is accounted
// for, every byte is compared, and afterwards descriptors, threads and the processor must be free again. Linux only.
// Build bench/load first: `cargo build --release --manifest-path bench/load/Cargo.toml`.
//
//     node scripts/trials/load.mjs [--pair=NAME] [--long] [SCENARIO…]

import { existsSync } from "node:fs";
import { LOAD, PAIRS } from "../support/pairs.mjs";
import { cleanUpAtExit } from "../support/processes.mjs";
import * as crowds from "./load/crowds.mjs";
import * as ends from "./load/ends.mjs";
import * as operations from "./load/operations.mjs";
import * as volume from "./load/volume.mjs";

/** By name. Each returns its result in one line, and throws if anything is not as promised. */
const scenarios = { ...volume.scenarios, ...ends.scenarios, ...crowds.scenarios, ...operations.scenarios };

const args = process.argv.slice(2);
const isLong = args.includes("--long");
const wantedPairs = args.filter((word) => word.startsWith("--pair=")).map((word) => word.slice("--pair=".length));
const wanted = args.filter((word) => !word.startsWith("--"));
const unknown = [...wanted.filter((name) => !(name in scenarios)), ...wantedPairs.filter((name) => !(name in PAIRS))];
if (unknown.length > 0) {
  console.error(`there is no ${unknown.join(", ")}; there are ${Object.keys(scenarios).join(", ")}`);
  console.error(`with --pair of ${Object.keys(PAIRS).join("; ")}`);
  process.exit(1);
}
if (!existsSync(LOAD)) {
  console.error("build the load program: cargo build --release --manifest-path bench/load/Cargo.toml");
  process.exit(1);
}

cleanUpAtExit();
let failures = 0;
for (const name of wanted.length > 0 ? wanted : Object.keys(scenarios)) {
  for (const pair of wantedPairs.length > 0 ? wantedPairs : Object.keys(PAIRS)) {
    const begun = performance.now();
    const { run, pairs = Object.keys(PAIRS) } = scenarios[name];
    if (!pairs.includes(pair)) continue;
    const say = (text) => {
      const seconds = ((performance.now() - begun) / 1_000).toFixed(0);
      console.log(`${name}, ${pair}: ${text} (${seconds} s)`);
    };
    try {
      say(await run(PAIRS[pair], { isLong }));
    } catch (error) {
      // Failures of the original are reported, but do not fail the trial.
      const isOurs = Object.values(PAIRS[pair]).every(({ kind }) => kind === "ours");
      say(`${isOurs ? "FAILED" : "not so"}: ${error.message}`);
      if (isOurs) failures += 1;
    }
  }
}
process.exit(failures === 0 ? 0 : 1);
