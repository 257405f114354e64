// Describes a run: machine, system, versions and commit.

import { execFileSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { availableParallelism, cpus, loadavg, release, totalmem } from "node:os";
import { fileURLToPath } from "node:url";

/** The description stored with every result. */
export function circumstances(kinds) {
  return {
    date: new Date().toISOString().slice(0, 10),
    commit: commit(),
    loadBefore: Math.round(loadavg()[0] * 10) / 10,
    machine: {
      processor: cpus()[0]?.model.trim() ?? "unknown",
      architecture: process.arch,
      cores: availableParallelism(),
      memoryGigabytes: Math.round(totalmem() / 1e9),
      system: `${distribution()}, Linux ${release().replace(/^(\d+\.\d+\.\d+).*/, "$1")}`,
    },
    versions: {
      "Node.js": process.versions.node,
      ...Object.fromEntries(kinds.filter((kind) => kind.program).map((kind) => [kind.program, kind.version])),
    },
  };
}

/** The commit of the checkout, with a + if there are uncommitted changes to the program. */
function commit() {
  const git = (...args) =>
    execFileSync("git", args, { cwd: fileURLToPath(new URL("..", import.meta.url)), encoding: "utf8" }).trim();
  try {
    const changed = git("status", "--porcelain", "--", "src", "crates", "bin", "package.json", "Cargo.lock");
    return git("rev-parse", "--short=12", "HEAD") + (changed === "" ? "" : "+");
  } catch {
    return "unknown";
  }
}

function distribution() {
  try {
    return readFileSync("/etc/os-release", "utf8").match(/^PRETTY_NAME="?([^"\n]+)/m)?.[1] ?? "Linux";
  } catch {
    return "Linux";
  }
}
