// scripts/check-artifact.mjs on this checkout's addon, under its own name and under the names of other platforms.

import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { copyFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { PREBUILT_PLATFORMS, platformName } from "#dist/native/native.js";
import { temporaryFolder } from "../support/cleanup.js";
import { root } from "../support/programs.js";

const addon = join(root, "native", `spiped.${platformName()}.node`);

/** The problems reported for a file, one line each. */
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

test("an addon passes for its own platform, except for requirements that only release builds meet", () => {
  const expected = /^it needs (glibc [\d.]+; Node\.js needs only [\d.]+|vcruntime140\.dll)$/;
  assert.deepEqual(
    problemsOf(addon).filter((problem) => !expected.test(problem)),
    [],
  );
});

for (const platform of PREBUILT_PLATFORMS.filter((name) => name !== platformName())) {
  test(`an addon for this platform fails for ${platform}`, async (t) => {
    const file = join(await temporaryFolder(t), `spiped.${platform}.node`);
    copyFileSync(addon, file);
    assert.match(problemsOf(file).join("\n"), /^it (is \S+, not|is not for|does not use the system's libc)/m);
  });
}
