// The portable MACs: repeats the packet tests in a process that must not use special CPU instructions.

import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { test } from "node:test";
import { fileURLToPath } from "node:url";

for (const name of ["packet-vectors", "transcript-vectors", "packets"]) {
  test(`${name} holds with portable MACs`, () => {
    const file = fileURLToPath(new URL(`${name}.test.js`, import.meta.url));
    const { NODE_TEST_CONTEXT: _, ...environment } = process.env;
    const { status, stdout } = spawnSync(process.execPath, ["--test", "--test-reporter=tap", file], {
      env: { ...environment, SPIPED_PORTABLE_MAC: "1" },
      encoding: "utf8",
    });
    assert.equal(status, 0, stdout);
    assert.match(stdout, /^# fail 0$/m);
    assert.doesNotMatch(stdout, /^# pass 0$/m);
  });
}
