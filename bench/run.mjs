// npm run bench: our two ends beside the C original's, in one run and in turn.

import { execFileSync, spawnSync } from "node:child_process";
import { randomBytes } from "node:crypto";
import { existsSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { startPair } from "./pair.mjs";

const LOAD = fileURLToPath(new URL("load/target/release/spiped-bench-load", import.meta.url));
const quick = process.argv.includes("--quick");
const rounds = quick ? 3 : 5;
const folder = mkdtempSync(join(tmpdir(), "spiped-bench-"));
const keyFile = join(folder, "key");
writeFileSync(keyFile, randomBytes(32), { mode: 0o600 });

try {
  execFileSync("cargo", ["build", "--release", "--quiet", "--locked"], {
    cwd: fileURLToPath(new URL("load", import.meta.url)),
    stdio: "inherit",
  });
  const kinds = ["ours", ...(existsSync("/usr/bin/spiped") ? ["c"] : [])];
  const bytes = 1_000_000_000;
  const results = Object.fromEntries(kinds.map((kind) => [kind, []]));
  for (let round = 0; round < rounds; round += 1) {
    for (const kind of kinds) results[kind].push(await bulk(kind, bytes));
  }
  for (const kind of kinds) {
    console.log(kind, {
      megabytesPerSecond: median(results[kind].map((one) => one.megabytesPerSecond)),
      cpuSecondsPerGigabyte: median(results[kind].map((one) => one.cpuSeconds)),
      peakMegabytes: Math.max(...results[kind].map((one) => one.peakMegabytes)),
    });
  }
} finally {
  rmSync(folder, { recursive: true });
}

async function bulk(kind, bytes) {
  const pair = await startPair(kind, keyFile);
  const before = cpuOf(pair.usage());
  const load = spawnSync(LOAD, ["bulk", pair.near, pair.far, String(bytes), "1", "forward"], { encoding: "utf8" });
  const after = await pair.stop();
  if (load.status !== 0) throw new Error(load.stderr);
  return {
    ...JSON.parse(load.stdout),
    cpuSeconds: cpuOf(after) - before,
    peakMegabytes: Math.max(...after.map((end) => end.peakMegabytes)),
  };
}

function cpuOf(usage) {
  return usage.reduce((sum, end) => sum + end.cpuSeconds, 0);
}

function median(values) {
  const sorted = values.toSorted((a, b) => a - b);
  return sorted[Math.floor(sorted.length / 2)];
}
