// Checks the Rust that rustup has installed against the digests in .github/rust.sha256, which a release is built with.
//
//   node scripts/check-rust.mjs TARGET    fails unless RUSTUP_TOOLCHAIN's compiler, cargo and the library for TARGET match
//   node scripts/check-rust.mjs --write   writes the digests of RUSTUP_TOOLCHAIN, for a release with another version
//
// rustup verifies what it downloads against the digests of the channel's manifest, and keeps the manifest. So this needs
// no archives, and runs nothing of the toolchain.

import { execFileSync } from "node:child_process";
import { readFileSync, writeFileSync } from "node:fs";
import { basename, dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

const FILE = fileURLToPath(new URL("../.github/rust.sha256", import.meta.url));
const MANIFEST = fileURLToPath(new URL("../package.json", import.meta.url));
/** The systems of the runners that build. */
const HOSTS = [
  "x86_64-unknown-linux-gnu",
  "x86_64-apple-darwin",
  "aarch64-apple-darwin",
  "x86_64-pc-windows-msvc",
  "aarch64-pc-windows-msvc",
];

const version = process.env.RUSTUP_TOOLCHAIN;
const [argument] = process.argv.slice(2);
if (version === undefined || argument === undefined) {
  console.error("usage: RUSTUP_TOOLCHAIN=VERSION node scripts/check-rust.mjs {TARGET | --write}");
  process.exit(2);
}

const toolchain = dirname(dirname(execFileSync("rustup", ["which", "rustc"], { encoding: "utf8" }).trim()));
const manifest = readFileSync(join(toolchain, "lib/rustlib/multirust-channel-manifest.toml"), "utf8");
const installed = new Map(
  [...manifest.matchAll(/^xz_url = ".*\/([^/"]+)"\nxz_hash = "([\da-f]{64})"$/gm)].map(([, file, digest]) => [
    file,
    digest,
  ]),
);

if (argument === "--write") write();
else check(argument);

function write() {
  const { targets } = JSON.parse(readFileSync(MANIFEST, "utf8")).napi;
  const files = [...HOSTS.flatMap((host) => [archive("rustc", host), archive("cargo", host)])];
  files.push(...targets.map((target) => archive("rust-std", target)));
  const missing = files.filter((file) => !installed.has(file));
  if (missing.length > 0) throw new Error(`this toolchain's manifest has no ${missing.join(", ")}`);
  writeFileSync(FILE, files.map((file) => `${installed.get(file)}  ${file}\n`).join(""));
}

function check(target) {
  const host = basename(toolchain).slice(version.length + 1);
  const pinned = new Map(
    readFileSync(FILE, "utf8")
      .trimEnd()
      .split("\n")
      .map((line) => line.split("  ").reverse()),
  );
  for (const file of [archive("rustc", host), archive("cargo", host), archive("rust-std", target)]) {
    const [wanted, found] = [pinned.get(file), installed.get(file)];
    if (wanted === undefined || wanted !== found) {
      console.error(
        `check-rust: ${file} is ${found ?? "not installed"}, and .github/rust.sha256 has ${wanted ?? "none"}`,
      );
      process.exit(1);
    }
  }
  console.log(`check-rust: Rust ${version} for ${target}, built on ${host}, has the pinned digests`);
}

function archive(part, triple) {
  return `${part}-${version}-${triple}.tar.xz`;
}
