// Scripts refuse arguments that they do not know in one message, and not with a stack.

import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { test } from "node:test";
import { root } from "./support/paths.js";

for (const [script, arg, message] of [
  ["bench/run.mjs", "--only=nosuch", /^no scenario has "nosuch" in its name; there are bulk-1-forward, /],
  ["bench/run.mjs", "--nosuch", /^Unknown option '--nosuch'; the options are --quick, --rounds, /],
  ["bench/run.mjs", "--rounds=x", /^--rounds takes a whole number from 1, not "x"$/],
  ["bench/run.mjs", "--from=nosuch", /^--from takes a file that --out has written: ENOENT/],
  ["scripts/test.mjs", "nosuch", /^there is neither build\/test\/nosuch\.test\.js nor build\/test\/nosuch; /],
  ["scripts/check-artifact.mjs", "nosuch", /^there is no file nosuch$/],
  ["scripts/trials/mutants.mjs", "nosuch", /^there is no folder or module nosuch in src; /],
  ["scripts/trials/networks.mjs", "nosuch", /^there is no scenario nosuch, only loss-1, /],
  ["scripts/trials/reloads.mjs", "nosuch", /^the number of reloads takes a whole number from 1, not "nosuch"$/],
] as const) {
  test(`node ${script} ${arg} says what there is`, { skip: process.platform !== "linux" }, () => {
    const { status, stdout, stderr } = spawnSync(process.execPath, [script, arg], { cwd: root, encoding: "utf8" });
    assert.deepEqual([status, stdout, stderr.trimEnd().split("\n").length], [1, "", 1], stderr);
    assert.match(stderr.trimEnd(), message);
  });
}
