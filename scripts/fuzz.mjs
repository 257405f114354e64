// node scripts/fuzz.mjs [seconds] [target...]: runs every fuzz target of crates/spiped-fuzz, or these, for so long each, one
// minute by default, from the committed corpus on. Not a part of npm test, which runs the corpus only: it needs a nightly Rust
// and cargo-fuzz. What a run finds it leaves below fuzz/artifacts, and what it reaches below fuzz/target/corpus.
//
// A corpus is made small again, in crates/spiped-fuzz, with: cargo +nightly fuzz cmin TARGET fuzz/corpus/TARGET

import { spawnSync } from "node:child_process";
import { mkdirSync } from "node:fs";
import { fileURLToPath } from "node:url";

process.chdir(fileURLToPath(new URL("../crates/spiped-fuzz", import.meta.url)));

const [first, ...others] = process.argv.slice(2);
const seconds = Number(first ?? 60);
if (!Number.isInteger(seconds) || seconds < 1) fail("usage: node scripts/fuzz.mjs [seconds] [target...]");

const listed = fuzz(["list"], "pipe");
if (listed.status !== 0) fail("it needs: rustup toolchain install nightly, cargo install cargo-fuzz");
const known = listed.stdout.trim().split("\n");
for (const target of others) if (!known.includes(target)) fail(`no target ${target}; there are: ${known.join(", ")}`);
const targets = others.length > 0 ? others : known;
for (const target of targets) {
  console.log(`\n${target}, ${seconds} s`);
  const reached = `fuzz/target/corpus/${target}`;
  mkdirSync(reached, { recursive: true });
  // An input that takes so long stands for something that never ends.
  const limits = [`-max_total_time=${seconds}`, "-timeout=60", "-print_final_stats=1", "-verbosity=0"];
  const { status } = fuzz(["run", target, reached, `fuzz/corpus/${target}`, "--", ...limits], "inherit");
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
