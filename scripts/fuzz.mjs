// node scripts/fuzz.mjs [seconds]: runs every fuzz target of crates/spiped-core for so long, one minute by default.
// Not a part of npm test: it needs a nightly Rust and cargo-fuzz. What a run finds it leaves below fuzz/artifacts.

import { spawnSync } from "node:child_process";
import { fileURLToPath } from "node:url";

process.chdir(fileURLToPath(new URL("../crates/spiped-core", import.meta.url)));

const seconds = Number(process.argv[2] ?? 60);
if (!Number.isInteger(seconds) || seconds < 1) fail("usage: node scripts/fuzz.mjs [seconds]");

const listed = fuzz(["list"], "pipe");
if (listed.status !== 0) fail("it needs: rustup toolchain install nightly, cargo install cargo-fuzz");
const targets = listed.stdout.trim().split("\n");
for (const target of targets) {
  console.log(`\n${target}, ${seconds} s`);
  const limits = [`-max_total_time=${seconds}`, "-print_final_stats=1", "-verbosity=0"];
  const { status } = fuzz(["run", target, "--", ...limits], "inherit");
  if (status !== 0) fail(`${target} failed; what with is shown above`);
}
console.log(`\n${targets.length} targets found nothing in ${seconds} s each`);

function fuzz(words, stdout) {
  return spawnSync("cargo", ["+nightly", "fuzz", ...words], { encoding: "utf8", stdio: ["ignore", stdout, "inherit"] });
}

function fail(message) {
  console.error(`fuzz: ${message}`);
  process.exit(1);
}
