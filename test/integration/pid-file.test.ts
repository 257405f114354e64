// The pid file: where it lies, and whose it must still be to be removed at the end.

import assert from "node:assert/strict";
import { mkdir, readdir, readFile, rm, stat, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { textOf } from "../support/addresses.js";
import { limits, temporaryFolder } from "../support/cleanup.js";
import type { Command } from "../support/command.js";
import { onLinux, readPidFile, startDetached, stopDaemon } from "../support/daemon.js";
import { ours } from "../support/programs.js";
import { newKey, startSpiped } from "../support/tunnel.js";

const options = { ...limits, skip: onLinux };

/** Starts a daemon in `cwd` with the pid file that `-p` names. */
async function startWithPidFile(t: TestContext, cwd: string, pidFile: string): Promise<Command> {
  const key = await newKey(t);
  const flags = ["-e", "-s", join(cwd, "socket"), "-t", join(cwd, "target"), "-k", key.path, "-p", pidFile];
  const command = startDetached(t, [...ours.spiped, ...flags], { stdin: "ignore", cwd });
  assert.equal((await command.ownExit()).status, 0, command.stderr);
  return command;
}

test("-p names the pid file relative to the working directory, or with its whole path", options, async (t) => {
  for (const name of ["a.pid", "./a.pid", undefined]) {
    const cwd = await temporaryFolder(t);
    const path = join(cwd, "a.pid");
    await startWithPidFile(t, cwd, name ?? path);
    assert.deepEqual((await readdir(cwd)).sort(), ["a.pid", "socket"]);
    const id = readPidFile(path);
    assert.equal((await stat(path)).mode & 0o022, 0, "only its owner may write to it");
    await stopDaemon({ id });
    assert.deepEqual(await readdir(cwd), []);
  }
});

test("takes the place of a pid file that an earlier daemon has left", options, async (t) => {
  const cwd = await temporaryFolder(t);
  const path = join(cwd, "a.pid");
  await writeFile(path, "1234567890\n");
  await startWithPidFile(t, cwd, path);
  await stopDaemon({ id: readPidFile(path) });
  assert.deepEqual(await readdir(cwd), []);
});

test("leaves a pid file that holds another process's id, and one that is gone, without a word", options, async (t) => {
  for (const change of ["another", "gone"]) {
    const cwd = await temporaryFolder(t);
    const path = join(cwd, "a.pid");
    const command = await startWithPidFile(t, cwd, path);
    const id = readPidFile(path);
    if (change === "gone") await rm(path);
    else await writeFile(path, `${id}0`);
    await stopDaemon({ id });
    await command.exit();
    assert.equal(command.lines.length, 2, command.stderr);
    assert.deepEqual(await readdir(cwd), change === "gone" ? [] : ["a.pid"]);
    if (change === "another") assert.equal(await readFile(path, "utf8"), `${id}0`);
  }
});

test("says in one line that it cannot remove its pid file, and ends", options, async (t) => {
  const cwd = await temporaryFolder(t);
  const path = join(cwd, "a.pid");
  const command = await startWithPidFile(t, cwd, path);
  const id = readPidFile(path);
  await rm(path);
  // Nobody can read a folder as a file, not even the superuser.
  await mkdir(path);
  await stopDaemon({ id });
  await command.exit();
  assert.equal(command.lines.filter((line) => /cannot remove pid file .*a\.pid/.test(line)).length, 1, command.stderr);
});

test("-F writes no pid file, not even with -p", limits, async (t) => {
  const cwd = await temporaryFolder(t);
  const path = join(cwd, "a.pid");
  const key = await newKey(t);
  const target = { kind: "unix", path: join(cwd, "target") } as const;
  const { source } = await startSpiped(t, { end: "-e", source: "unix", target, key, flags: ["-p", path] });
  assert.deepEqual(await readdir(cwd), []);
  await assert.rejects(stat(`${textOf(source)}.pid`), { code: "ENOENT" });
});
