// Trials of whether a file can be written, which leave nothing behind.

import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { readdir } from "node:fs/promises";
import { join } from "node:path";
import { test } from "node:test";
import { stickyBitAllows, tryToWriteIn } from "#dist/net/file-trial.js";
import { failsafeMs, temporaryFolder } from "../../support/cleanup.js";
import { onPlatform } from "../support/platform.js";

const limitsFiles = { skip: process.platform === "win32" };

/** Linux has files without names; the others make one with a name. */
const systems = [process.platform, "darwin"] as const;

for (const system of new Set(systems)) {
  test(`a trial as on ${system} leaves no file behind`, async (t) => {
    const folder = await temporaryFolder(t);
    onPlatform(t, system);
    tryToWriteIn(folder, "1234567");
    assert.deepEqual(await readdir(folder), []);
    assert.throws(() => tryToWriteIn(join(folder, "none"), ""), { code: "ENOENT" });
  });

  test(`a trial as on ${system} writes, and leaves no file behind if it fails`, limitsFiles, async (t) => {
    const folder = await temporaryFolder(t);
    const module = `
      import { tryToWriteIn } from ${JSON.stringify(import.meta.resolve("#dist/net/file-trial.js"))};
      Object.defineProperty(process, "platform", { value: ${JSON.stringify(system)} });
      tryToWriteIn(${JSON.stringify(folder)}, "");
      try {
        tryToWriteIn(${JSON.stringify(folder)}, "1234567");
      } catch ({ code }) {
        process.exitCode = code === "EFBIG" ? 7 : 8;
      }`;
    const limited = ["-c", 'trap "" XFSZ; ulimit -f 0; exec "$@"', "sh"];
    const child = spawnSync("sh", [...limited, process.execPath, "--input-type=module", "--eval", module], {
      timeout: failsafeMs,
      encoding: "utf8",
    });
    assert.equal(child.status, 7, child.stderr);
    assert.deepEqual(await readdir(folder), []);
  });
}

test("in a folder with the sticky bit, only root and the owners of file and folder may remove a file", () => {
  const allowed = (mode: number, user: number) => stickyBitAllows({ mode, uid: 1 }, { owner: 2, user });
  assert.deepEqual(
    [0, 1, 2, 3].map((user) => [allowed(0o41777, user), allowed(0o40777, user)]),
    [
      [true, true],
      [true, true],
      [true, true],
      [false, true],
    ],
  );
});
