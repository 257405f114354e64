// node scripts/fuzz.mjs [seconds] [target...]: runs all fuzz targets of crates/spiped-fuzz, or these, for that long each, one
// minute by default, starting from the committed corpus. Needs a nightly Rust and cargo-fuzz; npm test runs only the corpus.
// Findings go to fuzz/artifacts, and inputs that reach new code to fuzz/target/corpus.
//
// To minimize a corpus, in crates/spiped-fuzz: cargo +nightly fuzz cmin TARGET fuzz/corpus/TARGET

import { spawnSync } from "node:child_process";
import { mkdirSync } from "node:fs";
import { fileURLToPath } from "node:url";

process.chdir(fileURLToPath(new URL("../crates/spiped-fuzz", import.meta.url)));

const [first, ...others] = process.argv.slice(2);
const seconds = Number(first ?? 60);
if (!Number.isInteger(seconds) || seconds < 1) fail("usage: node scripts/fuzz.mjs [seconds] [target...]");

const listed = fuzz(["list"], "pipe");
if (listed.status !== 0) fail("run first: rustup toolchain install nightly && cargo install cargo-fuzz");
const known = listed.stdout.trim().split("\n");
for (const target of others) if (!known.includes(target)) fail(`no target ${target}; there are: ${known.join(", ")}`);
const targets = others.length > 0 ? others : known;
for (const target of targets) {
  console.log(`\n${target}, ${seconds} s`);
  const reached = `fuzz/target/corpus/${target}`;
  mkdirSync(reached, { recursive: true });
  // An input that takes longer counts as a hang.
  const limits = [`-max_total_time=${seconds}`, "-timeout=60", "-print_final_stats=1", "-verbosity=0"];
  const { status } = fuzz(["run", target, reached, `fuzz/corpus/${target}`, "--", ...limits], "inherit");
  if (status !== 0) fail(`${target} failed; the input is shown above`);
}
console.log(`\n${targets.length} targets found nothing in ${seconds} s each`);

function fuzz(args, stdout) {
  return spawnSync("cargo", ["+nightly", "fuzz", ...args], { encoding: "utf8", stdio: ["ignore", stdout, "inherit"] });
}

function fail(message) {
  console.error(`fuzz: ${message}`);
  process.exit(1);
}
