// SIGHUP upon SIGHUP: one reading at a time, and one more for all that came meanwhile.

import assert from "node:assert/strict";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { messageOf } from "#dist/errors.js";
import { addon, type KeyFile } from "#dist/native/native.js";
import { keyIdOf, sharedKeyOf } from "#dist/protocol/secret.js";
import { KeyReload } from "#dist/service/key-reload.js";
import { temporaryFolder, until } from "../../support/cleanup.js";
import { randomData } from "../../support/random-data.js";

/** What came of readings, in their order. */
function reloadOf(path: string): { readonly reload: KeyReload; readonly said: string[] } {
  const said: string[] = [];
  const reload = new KeyReload(path, {
    read: ({ key }) => said.push(keyIdOf(key)),
    failed: (error) => said.push(messageOf(error)),
  });
  return { reload, said };
}

/** Has readings end when the test lets them. */
function heldUp(t: TestContext): Array<() => void> {
  const { readKeyFile: original } = addon;
  const ends: Array<() => void> = [];
  t.mock.method(addon, "readKeyFile", (path: string, request: never, done: (file: KeyFile) => void) =>
    original(path, request, (file) => ends.push(() => done(file))),
  );
  return ends;
}

test("requests during a reading are one more reading after it, which sees the latest file", async (t) => {
  const path = join(await temporaryFolder(t), "key");
  const [first, second] = [randomData("first", 32), randomData("second", 32)];
  writeFileSync(path, first);
  const ends = heldUp(t);
  const { reload, said } = reloadOf(path);
  reload.request();
  await until(() => (ends.length === 1 ? true : undefined), "a reading");
  writeFileSync(path, second);
  for (let times = 0; times < 5; times += 1) reload.request();
  ends[0]?.();
  await until(() => (ends.length === 2 ? true : undefined), "another reading");
  ends[1]?.();
  await until(() => (said.length === 2 ? true : undefined), "both keys");
  assert.deepEqual(
    said,
    [first, second].map((contents) => keyIdOf(sharedKeyOf(contents))),
  );
  reload.request();
  await until(() => (ends.length === 3 ? true : undefined), "a third reading");
  ends[2]?.();
  await until(() => (said.length === 3 ? true : undefined), "the third key");
});

test("a reading that fails is told, and the next request is a reading again", async (t) => {
  const path = join(await temporaryFolder(t), "key");
  const { reload, said } = reloadOf(path);
  reload.request();
  reload.request();
  await until(() => (said.length === 2 ? true : undefined), "two failures");
  writeFileSync(path, randomData("key", 32));
  reload.request();
  await until(() => (said.length === 3 ? true : undefined), "a key");
  assert.match(said[0] ?? "", /there is no such file$/);
  assert.equal(said[2], keyIdOf(sharedKeyOf(randomData("key", 32))));
});
