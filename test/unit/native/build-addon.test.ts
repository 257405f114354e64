// Building without Rust fails with a clear message.

import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { test } from "node:test";
import { temporaryFolder } from "../../support/cleanup.js";
import { root } from "../support/paths.js";

const hint = "hint: install it (https://rustup.rs; then: rustup toolchain install stable), and a C compiler\n";

/** Runs the build where only this folder is on the PATH. */
function buildWithPath(folder: string) {
  // On Windows, it is spelled Path.
  const others = Object.entries(process.env).filter(([name]) => name.toUpperCase() !== "PATH");
  const env = { ...Object.fromEntries(others), PATH: folder };
  const { status, stderr } = spawnSync(process.execPath, ["scripts/build-addon.mjs"], { cwd: root, env });
  return { status, stderr: stderr.toString() };
}

test("a build without cargo says what is missing and where to get it", async (t) => {
  const { status, stderr } = buildWithPath(await temporaryFolder(t));
  assert.equal(stderr, `building spiped needs Rust 1.89 or newer, and there is no cargo on the PATH\n${hint}`);
  assert.equal(status, 1);
});

for (const [what, script, why] of [
  ["too old", "echo 'cargo 1.70.0 (ec8a8a0ca 2023-04-25)'", "this is Rust 1.70"],
  [
    "without a toolchain",
    "echo 'no default is configured' >&2; exit 1",
    "cargo --version failed: no default is configured",
  ],
] as const) {
  const skip = process.platform === "win32" ? "needs a shell script as cargo" : false;
  test(`a build with a cargo that is ${what} says so`, { skip }, async (t) => {
    const folder = await temporaryFolder(t);
    await writeFile(join(folder, "cargo"), `#!/bin/sh\n${script}\n`, { mode: 0o755 });
    const { status, stderr } = buildWithPath(folder);
    assert.equal(stderr, `building spiped needs Rust 1.89 or newer, and ${why}\n${hint}`);
    assert.equal(status, 1);
  });
}
