// Builds the addon, native/spiped.<platform>.node, and writes its types to src/native/addon.ts.
// Cargo decides what to rebuild: without changes this takes a second.

import { spawnSync } from "node:child_process";
import { fileURLToPath } from "node:url";
import { NapiCli } from "@napi-rs/cli";

process.chdir(fileURLToPath(new URL("..", import.meta.url)));

const cargo = spawnSync("cargo", ["--version"], { encoding: "utf8" });
const [, major, minor] = /^cargo (\d+)\.(\d+)/.exec(cargo.stdout ?? "") ?? [];
if (cargo.error !== undefined) failNeedingRust("there is no cargo on the PATH");
else if (major === undefined) failNeedingRust(`cargo --version failed: ${cargo.stderr.trim()}`);
else if (Number(major) === 1 && Number(minor) < 89) failNeedingRust(`this is Rust ${major}.${minor}`);

function failNeedingRust(why) {
  console.error(`building spiped needs Rust 1.89 or newer, and ${why}`);
  console.error("hint: install it (https://rustup.rs; then: rustup toolchain install stable), and a C compiler");
  process.exit(1);
}

const { task } = await new NapiCli().build({
  manifestPath: "crates/spiped-napi/Cargo.toml",
  packageJsonPath: "package.json",
  outputDir: "native",
  dts: "../src/native/addon.ts",
  dtsHeader: "// Generated from crates/spiped-napi by scripts/build-addon.mjs. Do not edit.\n\n",
  constEnum: false,
  noJsBinding: true, // src/native/native.ts loads the addon itself
  platform: true,
  release: true,
  cargoOptions: ["--locked"],
});
await task;
