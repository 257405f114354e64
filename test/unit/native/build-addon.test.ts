// Building without Rust fails with a clear message.

import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { test } from "node:test";
import { temporaryFolder } from "../../support/cleanup.js";
import { root } from "../support/paths.js";

test("a build without cargo says in one line what is missing and where to get it", async (t) => {
  // On Windows, it is spelled Path.
  const others = Object.entries(process.env).filter(([name]) => name.toUpperCase() !== "PATH");
  const env = { ...Object.fromEntries(others), PATH: await temporaryFolder(t) };
  const { status, stderr } = spawnSync(process.execPath, ["scripts/build-addon.mjs"], { cwd: root, env });
  assert.match(stderr.toString(), /^building spiped needs Rust, [^\n]*\nhint: [^\n]*\n$/);
  assert.equal(status, 1);
});
