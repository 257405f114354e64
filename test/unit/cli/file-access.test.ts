// Who may do what with a file: this process, or another user.

import assert from "node:assert/strict";
import { chmodSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { type Asking, type May, mayAs, mayRemove, type Use } from "#dist/cli/file-access.js";
import type { Identity } from "#dist/cli/user.js";
import { temporaryFolder } from "../../support/cleanup.js";
import { runModule } from "../support/children.js";
import { asNobody } from "../support/unprivileged.js";

const onUnix = { skip: process.platform === "win32" };

/** A user other than root that this process may become. */
const own = process.getuid?.() === 0 ? 65_534 : (process.getuid?.() ?? 0);
const identity: Identity = { uid: own, group: { kind: "stay" }, text: "somebody" };

const answers: Asking = { silent: (path) => assert.fail(`no answer about ${path}`) };

/** A folder that everybody can reach. */
async function folderOf(t: TestContext): Promise<string> {
  const folder = await temporaryFolder(t);
  chmodSync(folder, 0o755);
  return folder;
}

const uses = { read: 4, list: 5, change: 3, connect: 2 } as const satisfies Readonly<Record<Use, number>>;

const ways: Readonly<Record<string, May>> = {
  "a process of that user": mayAs(identity, answers),
  "owners and modes": mayAs(identity, { ...answers, shell: "/nowhere" }),
};

for (const [name, may] of Object.entries(ways)) {
  test(`asking ${name}, each use needs all bits of its mode and no others`, onUnix, async (t) => {
    const path = join(await folderOf(t), "x, \\061 %s\n");
    writeFileSync(path, "");
    for (const [use, needs] of Object.entries(uses) as readonly [Use, number][]) {
      for (let bits = 0; bits < 8; bits += 1) {
        chmodSync(path, bits * 0o111);
        assert.equal(await may(path, use), (bits & needs) === needs, `${use} with mode ${bits}`);
      }
    }
  });
}

test("asking what this process may do, each use needs all bits of its mode and no others", onUnix, async (t) => {
  const folder = await folderOf(t);
  for (let bits = 0; bits < 8; bits += 1) {
    writeFileSync(join(folder, `${bits}`), "");
    chmodSync(join(folder, `${bits}`), bits * 0o111);
  }
  const { stdout, stderr } = runModule(`
    const { mayNow } = await import(dist("cli/file-access.js"));
    process.setuid(${own});
    for (const use of ${JSON.stringify(Object.keys(uses))}) {
      const may = [];
      for (let bits = 0; bits < 8; bits += 1) if (await mayNow(${JSON.stringify(folder)} + "/" + bits, use)) may.push(bits);
      console.log(use, may.join(""));
    }`);
  assert.equal(stderr.toString(), "");
  assert.equal(stdout.toString(), "read 4567\nlist 57\nchange 37\nconnect 2367\n");
});

test("a process that may not become the user goes by owners and modes", onUnix, async (t) => {
  const folder = await folderOf(t);
  for (const mode of [0o644, 0o600]) {
    writeFileSync(join(folder, mode.toString(8)), "");
    chmodSync(join(folder, mode.toString(8)), mode);
  }
  await asNobody(async () => {
    const may = mayAs({ ...identity, uid: own - 1 }, answers);
    assert.equal(await may(join(folder, "644"), "read"), true);
    assert.equal(await may(join(folder, "600"), "read"), false);
  });
});

test("if the system does not answer, it says so once for a folder, and assumes the best", onUnix, async (t) => {
  const folder = await folderOf(t);
  const shell = join(folder, "sh");
  writeFileSync(shell, "#!/bin/sh\nexec sleep 3600\n", { mode: 0o755 });
  const silent: string[] = [];
  const asking: Asking = { silent: (where) => silent.push(where), shell, timeoutMs: 1 };
  for (const name of ["a", "b"]) assert.equal(await mayAs(identity, asking)(join(folder, name), "read"), true);
  assert.equal(await mayAs(identity, asking)(folder, "change"), true);
  assert.deepEqual(silent, [folder]);
});

test("in a sticky folder, only owners may remove a file", onUnix, async (t) => {
  const folder = await temporaryFolder(t);
  const path = join(folder, "x");
  const stranger = { ...identity, uid: own + 1 };
  const yes: May = async () => true;
  assert.equal(await mayRemove(path, own, stranger, yes), true);
  chmodSync(folder, 0o1777);
  assert.equal(await mayRemove(path, own, stranger, yes), false);
  assert.equal(await mayRemove(path, own + 1, stranger, yes), true);
  assert.equal(await mayRemove(path, own + 1, stranger, async () => false), false);
  assert.equal(await mayRemove(path, own, { ...identity, uid: process.getuid?.() }, yes), true);
});
