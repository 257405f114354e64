// Builds the addon, native/spiped.<platform>.node, and writes its types to src/native/addon.ts.
// Cargo decides what to rebuild: without changes this takes a second.

import { spawnSync } from "node:child_process";
import { fileURLToPath } from "node:url";
import { NapiCli } from "@napi-rs/cli";

process.chdir(fileURLToPath(new URL("..", import.meta.url)));

if (spawnSync("cargo", ["--version"], { stdio: "ignore" }).error !== undefined) {
  console.error("building spiped needs Rust, and there is no cargo on the PATH");
  console.error("hint: install Rust 1.89 or newer (https://rustup.rs) and a C compiler");
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
