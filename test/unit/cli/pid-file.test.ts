// The pid file, as --check sees it.

import assert from "node:assert/strict";
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { Worker } from "node:worker_threads";
import { PidFile } from "#dist/cli/pid-file.js";
import { afterwards, failsafeMs, temporaryFolder } from "../../support/cleanup.js";

const onUnix = { skip: process.platform === "win32" };

async function pathOf(t: TestContext): Promise<string> {
  return join(await temporaryFolder(t), "pid");
}

function failing(code: string) {
  return () => {
    throw Object.assign(new Error("x"), { code });
  };
}

test("a pid file that is missing or empty needs room on the disk", onUnix, async (t) => {
  const path = await pathOf(t);
  const check = (code: string) => PidFile.holderOf(path, failing(code));
  assert.throws(() => check("ENOSPC"), /the disk is full/);
  assert.throws(() => check("EACCES"), /permission denied/);
  assert.ok(!existsSync(path));
  writeFileSync(path, "");
  assert.throws(() => check("ENOSPC"), /the disk is full/);
  assert.throws(() => check("EDQUOT"), /quota/);
  // It can be written even if its folder cannot.
  assert.equal(check("EACCES"), undefined);
  writeFileSync(path, "1234");
  assert.equal(check("ENOSPC"), undefined);
  writeFileSync(path, "precious");
  assert.throws(() => check("ENOSPC"), /that is no pid file/);
  assert.equal(readFileSync(path, "utf8"), "precious");
});

test("the check names the daemon that has locked the file", onUnix, async (t) => {
  const path = await pathOf(t);
  const file = PidFile.take(path);
  assert.equal(PidFile.holderOf(path), "");
  file.write();
  assert.equal(PidFile.holderOf(path), String(process.pid));
  file.release();
  assert.equal(PidFile.holderOf(path), undefined);
});

test("checks never keep a daemon from starting", onUnix, async (t) => {
  const path = await pathOf(t);
  writeFileSync(path, "1234");
  const checks = new Int32Array(new SharedArrayBuffer(4));
  const url = new URL("pid-file.js", import.meta.resolve("#dist/cli/user.js")).href;
  const worker = new Worker(
    `import(${JSON.stringify(url)}).then(({ PidFile }) => {
      const { path, checks } = require("node:worker_threads").workerData;
      for (; Atomics.load(checks, 0) >= 0; Atomics.add(checks, 0, 1)) PidFile.holderOf(path);
    });`,
    { eval: true, workerData: { path, checks } },
  );
  afterwards(t, () => worker.terminate());
  const endsAt = performance.now() + failsafeMs;
  while (Atomics.load(checks, 0) < 1_000 && performance.now() < endsAt) PidFile.take(path).release();
  assert.ok(Atomics.load(checks, 0) >= 1_000);
});
