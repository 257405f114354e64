// The short form of scripts/trials/soak.mjs: every kind of load once, with reloads and key changes meanwhile. And how it
// detects growth.

import assert from "node:assert/strict";
import { join } from "node:path";
import { test } from "node:test";
import { limits } from "../support/cleanup.js";
import { Command } from "../support/command.js";
import { root } from "../support/programs.js";
import { asRoot } from "../support/root.js";

interface Judgment {
  readonly first: number;
  readonly last: number;
  readonly grown: number;
  readonly isFlat: boolean;
}

type Judge = (times: readonly number[], values: readonly number[], most: number) => Judgment;

asRoot([], () => {
  test("two ends have no leaks after all kinds of connections, reloads and key changes", limits, async (t) => {
    const args = [join(root, "scripts/trials/soak.mjs"), "--rounds", "4"];
    const { status, stdout: said, stderr } = await Command.run(t, [process.execPath, ...args]);
    assert.equal(status, 0, `${said}${stderr}`);
    assert.match(said, /^near: descriptors at rest: .*: (\d+), \1, \1$/m);
    assert.match(said, /^far: threads at rest: .*: (\d+), \1, \1$/m);
  });
});

test("growth is distinguished from variation", async () => {
  const { judge } = (await import(join(root, "scripts/trials/soak/flatness.mjs"))) as { readonly judge: Judge };
  const times = Array.from({ length: 600 }, (_, index) => index * 5);
  // A sawtooth of 4 MB, like a heap between collections, with some outliers.
  const saw = times.map((_, index) => 20 + ((index * 7) % 40) / 10 + (index % 97 === 0 ? 30 : 0));
  const leak = saw.map((value, index) => value + (5 * index) / saw.length);
  assert.equal(judge(times, saw, 3).isFlat, true);
  const { isFlat, grown, first, last } = judge(times, leak, 3);
  assert.equal(isFlat, false);
  assert.ok(grown > 4.5 && grown < 5.5, `${grown}`);
  assert.ok(last - first > 3, `${first} to ${last}`);
  // Growth below the limit, and shrinking.
  assert.equal(judge(times, leak, 6).isFlat, true);
  assert.equal(judge(times, [...leak].reverse(), 3).isFlat, true);
  // Missing measurements do not count as flat.
  assert.equal(judge([0, 5], [Number.NaN, 1], 3).isFlat, false);
});
