// What scripts/check-artifact.mjs says of this checkout's addon, under its own name and under those of other platforms.

import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { copyFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { PREBUILT_PLATFORMS, platformName } from "#dist/native/native.js";
import { temporaryFolder } from "../support/cleanup.js";
import { root } from "../support/programs.js";

const addon = join(root, "native", `spiped.${platformName()}.node`);

/** What is wrong with a file, one line each. */
function problemsOf(file: string): readonly string[] {
  const { status, stdout, stderr } = spawnSync(process.execPath, [join(root, "scripts/check-artifact.mjs"), file], {
    encoding: "utf8",
  });
  assert.equal(stderr, "");
  const [verdict = "", ...problems] = stdout.trimEnd().split("\n");
  assert.match(verdict, status === 0 ? /^right / : /^WRONG /);
  assert.equal(problems.length > 0, status !== 0);
  return problems.map((problem) => problem.trim());
}

test("an addon is right for its own platform, but for what only a release's is linked for", () => {
  const expected = /^it needs (glibc [\d.]+, and Node [\d.]+ only|vcruntime140\.dll)$/;
  assert.deepEqual(
    problemsOf(addon).filter((problem) => !expected.test(problem)),
    [],
  );
});

for (const platform of PREBUILT_PLATFORMS.filter((name) => name !== platformName())) {
  test(`an addon for this platform is wrong for ${platform}`, async (t) => {
    const file = join(await temporaryFolder(t), `spiped.${platform}.node`);
    copyFileSync(addon, file);
    assert.match(problemsOf(file).join("\n"), /^it (is \S+, not|is not for|does not use the system's libc)/m);
  });
}
