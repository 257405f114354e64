// A build leaves nothing behind that was compiled from a source file that is gone.

import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { mkdirSync, readdirSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { test } from "node:test";
import { temporaryFolder } from "../support/cleanup.js";
import { root } from "./support/paths.js";

const script = join(root, "scripts/remove-stale.mjs");

test("what was compiled from a removed source file is removed, and nothing else", async (t) => {
  const tree = await temporaryFolder(t);
  const kept = [
    "src/net/kept.ts",
    "dist/net/kept.js",
    "dist/net/kept.d.ts",
    "dist/net/kept.js.map",
    "dist/commands/commands.cjs",
    "dist/commands/commands.cjs.map",
    "dist/.tsbuildinfo",
    "test/unit/kept.test.ts",
    "build/test/unit/kept.test.js",
    "build/fuzz/input.js",
  ];
  const stale = [
    "dist/net/renamed.js",
    "dist/net/renamed.d.ts",
    "dist/gone/gone.js.map",
    "build/test/unit/net.test.js",
  ];
  for (const file of [...kept, ...stale]) {
    mkdirSync(dirname(join(tree, file)), { recursive: true });
    writeFileSync(join(tree, file), "");
  }
  const printed = execFileSync(process.execPath, [script, tree], { encoding: "utf8" });
  assert.equal(printed, "removed 4 compiled files that have no source file any more\n");
  const left = readdirSync(tree, { recursive: true, withFileTypes: true }).filter((entry) => entry.isFile());
  assert.deepEqual(left.map(({ name }) => name).sort(), kept.map((file) => file.replace(/.*\//, "")).sort());
  assert.equal(execFileSync(process.execPath, [script, tree], { encoding: "utf8" }), "");
});

test("a tree that was never built is left alone", async (t) => {
  assert.equal(execFileSync(process.execPath, [script, await temporaryFolder(t)], { encoding: "utf8" }), "");
});
