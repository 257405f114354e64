// spiped keygen: creates a new key, and never overwrites an existing file.

import assert from "node:assert/strict";
import { readFile, stat, symlink, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { test } from "node:test";
import { limits, temporaryFolder } from "../support/cleanup.js";
import { Command } from "../support/command.js";
import { ours } from "../support/programs.js";
import { carriesReplyAfterEnd } from "../support/scenarios.js";
import { startTunnel } from "../support/tunnel.js";

test("keygen writes 32 bytes that differ each time, readable by the owner only", limits, async (t) => {
  const folder = await temporaryFolder(t);
  const keys: Buffer[] = [];
  for (const name of ["one", "two"]) {
    const path = join(folder, name);
    const { status, stdout } = await Command.run(t, [...ours.spiped, "keygen", path]);
    assert.equal(status, 0);
    assert.equal(stdout, "");
    assert.equal((await stat(path)).mode & 0o7777, 0o600);
    keys.push(await readFile(path));
  }
  assert.deepEqual(
    keys.map((key) => key.length),
    [32, 32],
  );
  assert.notDeepEqual(keys[0], keys[1]);
});

test("a tunnel works with a key from keygen", limits, async (t) => {
  const path = join(await temporaryFolder(t), "key");
  assert.equal((await Command.run(t, [...ours.spiped, "keygen", path])).status, 0);
  const key = { path, bytes: await readFile(path) };
  await carriesReplyAfterEnd(await startTunnel(t, { clientKey: key, serverKey: key }), 1000);
});

test("keygen refuses an existing file, folder or symlink, and leaves it unchanged", limits, async (t) => {
  const folder = await temporaryFolder(t);
  const old = join(folder, "old");
  await writeFile(old, "an old key");
  const dangling = join(folder, "dangling");
  await symlink(join(folder, "nowhere"), dangling);
  for (const path of [old, folder, dangling]) {
    const { status, stderr } = await Command.run(t, [...ours.spiped, "keygen", path]);
    assert.equal(status, 1);
    assert.match(stderr, /^spiped: .*exist/);
    assert.ok(stderr.includes(path));
  }
  assert.equal(await readFile(old, "utf8"), "an old key");
  await assert.rejects(stat(join(folder, "nowhere")));
});

test("keygen refuses a missing folder, no argument, and two arguments", limits, async (t) => {
  const folder = await temporaryFolder(t);
  for (const args of [[join(folder, "none", "key")], [], [join(folder, "a"), join(folder, "b")]]) {
    const { status, stderr } = await Command.run(t, [...ours.spiped, "keygen", ...args]);
    assert.equal(status, 1);
    assert.match(stderr, /^spiped: /);
  }
  await assert.rejects(stat(join(folder, "a")));
});
