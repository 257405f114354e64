// Builds the addon: native/spiped.<platform>.node, and its types in src/native/addon.ts.
// Cargo decides what there is to do; when nothing has changed this takes a second.

import { fileURLToPath } from "node:url";
import { NapiCli } from "@napi-rs/cli";

process.chdir(fileURLToPath(new URL("..", import.meta.url)));

const { task } = await new NapiCli().build({
  manifestPath: "crates/spiped-napi/Cargo.toml",
  packageJsonPath: "package.json",
  outputDir: "native",
  dts: "../src/native/addon.ts",
  noDtsHeader: true,
  constEnum: false,
  noJsBinding: true, // src/native/native.ts loads the addon itself
  platform: true,
  release: true,
  cargoOptions: ["--locked"],
});
await task;
