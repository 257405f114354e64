// Reloading keys: repeated SIGHUP, failures, and key folders.

import assert from "node:assert/strict";
import { mkdirSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { addon, type KeyFile } from "#dist/native/native.js";
import { textLines } from "#dist/observe/format.js";
import { createLog } from "#dist/observe/log.js";
import { keyIdOf, sharedKeyOf } from "#dist/protocol/secret.js";
import { TunnelKeys } from "#dist/service/tunnel-keys.js";
import { temporaryFolder, until } from "../../support/cleanup.js";
import { randomData } from "../../support/random-data.js";

/** Keys, their log, and connections that are reset when their keys are removed. */
async function keysAt(path: string, role: "encrypt" | "decrypt" = "decrypt") {
  const said: string[] = [];
  const log = createLog({
    write: (entry) => {
      const text = textLines(entry).join("\n");
      said.push(entry.level === "info" ? text : `${entry.level}: ${text}`);
    },
  });
  const keys = await TunnelKeys.read(path, role, log, {});
  const user = { connections: 0, endRemoved: () => user.connections };
  const saying = (count: number) => until(() => (said.length >= count ? said : undefined), `${count} lines`);
  return { keys, said, saying, user, reload: () => keys.reload(user) };
}

/** Lets the test complete each read. */
function heldUp(t: TestContext): Array<() => void> {
  const { readKeyFile: original } = addon;
  const ends: Array<() => void> = [];
  t.mock.method(addon, "readKeyFile", (path: string, request: never, done: (file: KeyFile) => void) =>
    original(path, request, (file) => ends.push(() => done(file))),
  );
  return ends;
}

function write(path: string, contents: Uint8Array | string): void {
  writeFileSync(path, contents, { mode: 0o600 });
}

test("requests during a reload lead to one more, which sees the latest file", async (t) => {
  const path = join(await temporaryFolder(t), "key");
  const [first, second, third] = ["first", "second", "third"].map((name) => randomData(name, 32)) as Uint8Array[];
  assert.ok(first !== undefined && second !== undefined && third !== undefined);
  write(path, first);
  const { keys, saying, reload } = await keysAt(path);
  const ids = () => keys.ring.keys.map(({ key }) => keyIdOf(key));
  const ends = heldUp(t);
  void reload();
  await until(() => (ends.length === 1 ? true : undefined), "a reading");
  write(path, second);
  for (let times = 0; times < 5; times += 1) void reload();
  ends[0]?.();
  await until(() => (ends.length === 2 ? true : undefined), "another reading");
  assert.deepEqual(ids(), [keyIdOf(sharedKeyOf(first))]);
  ends[1]?.();
  assert.match(
    (await saying(2)).join("\n"),
    /^SIGHUP: reloaded key file .*key; new connections use it\nSIGHUP: reloaded/,
  );
  assert.deepEqual(ids(), [keyIdOf(sharedKeyOf(second))]);
  write(path, third);
  void reload();
  await until(() => (ends.length === 3 ? true : undefined), "a third reading");
  ends[2]?.();
  await saying(3);
  assert.deepEqual(ids(), [keyIdOf(sharedKeyOf(third))]);
});

test("a failed reload is logged, and the next request reloads again", async (t) => {
  const path = join(await temporaryFolder(t), "key");
  write(path, randomData("old", 32));
  const { keys, saying, reload } = await keysAt(path);
  rmSync(path);
  void reload();
  void reload();
  for (const line of await saying(2))
    assert.match(line, /^warning: SIGHUP: .*there is no such file; keeping the old key; hint: check the path; /);
  write(path, randomData("key", 32));
  void reload();
  await saying(3);
  assert.deepEqual(
    keys.ring.keys.map(({ key }) => keyIdOf(key)),
    [keyIdOf(sharedKeyOf(randomData("key", 32)))],
  );
});

test("a folder's keys are logged, and what a reload changed", async (t) => {
  const folder = join(await temporaryFolder(t), "keys");
  const path = (name: string) => join(folder, name);
  mkdirSync(folder);
  for (const name of ["alice.key", "bob.key", "carol.key"]) write(path(name), randomData(name, 32));
  const { keys, said, saying, user, reload } = await keysAt(folder);
  const names = () => keys.ring.keys.map(({ name }) => name);
  assert.deepEqual(said.splice(0), [`read key folder ${folder}: 3 keys: alice, bob, carol`]);

  void reload();
  assert.deepEqual((await saying(1)).splice(0), [`SIGHUP: reloaded key folder ${folder}: 3 keys, unchanged`]);

  rmSync(path("bob.key"));
  renameSync(path("carol.key"), path("zoe.key"));
  write(path("dave.key"), randomData("dave", 32));
  user.connections = 2;
  void reload();
  assert.deepEqual((await saying(1)).splice(0), [
    `SIGHUP: reloaded key folder ${folder}: 3 keys; added dave; removed bob; renamed carol to zoe; reset 2 connections`,
  ]);
  assert.deepEqual(names(), ["alice", "dave", "zoe"]);

  write(path("alice.key"), "");
  rmSync(path("zoe.key"));
  user.connections = 1;
  void reload();
  assert.deepEqual((await saying(2)).splice(0), [
    `warning: SIGHUP: cannot read key file ${path("alice.key")}: it is empty, so everybody knows this key; its old key stays`,
    `SIGHUP: reloaded key folder ${folder}: 2 keys; removed zoe; reset 1 connection`,
  ]);
  // The key that was kept is known to the next reload, too.
  user.connections = 0;
  void reload();
  assert.match((await saying(2)).splice(0)[1] ?? "", /2 keys, unchanged$/);
  assert.deepEqual(names(), ["alice", "dave"]);
  assert.equal(keyIdOf(keys.ring.keys[0]?.key ?? assert.fail()), keyIdOf(sharedKeyOf(randomData("alice.key", 32))));

  for (const name of ["alice.key", "dave.key"]) rmSync(path(name));
  void reload();
  assert.deepEqual((await saying(2)).splice(0), [
    `SIGHUP: reloaded key folder ${folder}: 0 keys; removed alice, dave`,
    `warning: SIGHUP: no keys left in ${folder}; no client can connect`,
  ]);

  rmSync(folder, { recursive: true });
  void reload();
  assert.match((await saying(1)).join(), /^warning: SIGHUP: .*there is no such folder; keeping all old keys$/);
});

test("an encrypting end refuses a folder", async (t) => {
  const folder = await temporaryFolder(t);
  write(join(folder, "alice"), randomData("alice", 32));
  await assert.rejects(keysAt(folder, "encrypt"), /cannot read key file .*: it is a folder$/);
});

test("the message about a folder with many keys is short", async (t) => {
  const folder = await temporaryFolder(t);
  for (let count = 10; count < 30; count += 1) write(join(folder, `c${count}`), randomData(`${count}`, 32));
  const { said } = await keysAt(folder);
  assert.match(said.join(), /: 20 keys: c10, c11, c12, c13, c14, c15, c16, c17, c18, c19 and 10 more$/);
});
