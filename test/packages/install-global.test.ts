// npm run install:global: installs the commands from a checkout, without a registry.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { failsafeMs, temporaryFolder } from "../support/cleanup.js";
import { Command } from "../support/command.js";
import { root } from "../support/programs.js";

const version = (JSON.parse(readFileSync(join(root, "package.json"), "utf8")) as { version: string }).version;
const limits = { timeout: 3 * failsafeMs };

async function installGlobal(t: TestContext, prefix: string) {
  const env = { ...process.env, npm_config_cache: join(await temporaryFolder(t), "cache"), npm_config_offline: "true" };
  const args = [join(root, "scripts/install-global.mjs"), "--prefix", prefix];
  return Command.run(t, [process.execPath, ...args], { stdin: "ignore", env });
}

test("a checkout installs its commands and its library below a prefix, without a registry", limits, async (t) => {
  const prefix = join(await temporaryFolder(t), "prefix");
  const { status, stdout, stderr } = await installGlobal(t, prefix);
  assert.equal(status, 0, stdout + stderr);
  const windows = process.platform === "win32";
  const modules = join(prefix, windows ? "node_modules" : "lib/node_modules");
  for (const name of ["spiped", "spipe"]) {
    const command = windows ? [process.execPath, join(modules, `spiped/bin/${name}.js`)] : [join(prefix, "bin", name)];
    const [file = "", ...args] = [...command, "--version"];
    const told = await Command.run(t, [file, ...args], { stdin: "ignore" });
    assert.deepEqual([told.stdout, told.stderr], [`${name} ${version}\n`, ""]);
  }
  // No dependency that npm would fetch.
  const manifest = JSON.parse(readFileSync(join(modules, "spiped/package.json"), "utf8")) as object;
  assert.deepEqual(
    Object.keys(manifest).filter((key) => /dependencies/i.test(key)),
    [],
  );
  const program = join(modules, "program.mjs");
  await writeFile(program, 'import { connect } from "spiped"; console.log(typeof connect);');
  const library = await Command.run(t, [process.execPath, program], { stdin: "ignore" });
  assert.deepEqual([library.stdout, library.stderr], ["function\n", ""]);
});

test("a prefix that cannot be written to is reported with two solutions", limits, async (t) => {
  // Below a file, where root cannot write either.
  const file = join(await temporaryFolder(t), "file");
  await writeFile(file, "");
  const prefix = join(file, "prefix");
  const { status, stderr } = await installGlobal(t, prefix);
  assert.equal(status, 1);
  assert.ok(stderr.startsWith(`install:global: cannot write to ${prefix}, so nothing was installed\n`), stderr);
  const tarball = join(root, `build/install/spiped-${version}.tgz`);
  const hint = `hint: sudo env "PATH=$PATH" npm install --global --prefix ${prefix} ${tarball}`;
  assert.ok(stderr.includes(`\n${hint}\n`), stderr);
});
