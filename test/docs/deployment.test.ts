// The files of contrib: parsed by whoever reads them in the end, where that is on this system.

import assert from "node:assert/strict";
import { copyFile, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { variableOf } from "#dist/cli/environment.js";
import { spipedCommand } from "#dist/cli/spiped.js";
import { limits, temporaryFolder } from "../support/cleanup.js";
import { Command } from "../support/command.js";
import { commandOnPath, root, withCommands } from "../support/programs.js";

const contrib = join(root, "contrib");

/** The unit as an instance, with a program that exists on this system. */
async function unit(t: TestContext): Promise<string> {
  const folder = await temporaryFolder(t);
  const text = await readFile(join(contrib, "systemd/spiped@.service"), "utf8");
  const path = join(folder, "spiped@ssh.service");
  await writeFile(path, text.replace("/usr/local/bin/spiped", process.execPath));
  await copyFile(path, join(folder, "spiped@.service"));
  return path;
}

withCommands(["systemd-analyze"], ([analyze = ""]) => {
  test("systemd-analyze verify finds nothing wrong in the unit", limits, async (t) => {
    const path = await unit(t);
    const { stdout, stderr } = await Command.run(t, [analyze, "verify", "--man=no", path]);
    // It speaks of the system's own units, too.
    const lines = `${stdout}${stderr}`.split("\n").filter((line) => line.includes("spiped"));
    assert.deepEqual(lines, []);
  });

  test("systemd-analyze security rates the unit below 1.5", limits, async (t) => {
    const words = [analyze, "security", "--offline=true", "--threshold=15", "--no-pager", await unit(t)] as const;
    const { status, stdout, stderr } = await Command.run(t, words);
    assert.equal(status, 0, `${stdout.slice(-200)}${stderr}`);
  });
});

test("the unit does not forbid memory that is written and run", async () => {
  const text = await readFile(join(contrib, "systemd/spiped@.service"), "utf8");
  assert.doesNotMatch(text, /^MemoryDenyWriteExecute=/m);
});

test("the variables of the example of a unit are variables of flags", async () => {
  const text = await readFile(join(contrib, "systemd/ssh.env.example"), "utf8");
  const known = spipedCommand().options.map(variableOf);
  const used = [...text.matchAll(/^([A-Z_]+)=/gm)].map((match) => match[1] ?? "");
  assert.ok(used.length > 2);
  assert.deepEqual(
    used.filter((variable) => !known.includes(variable)),
    [],
  );
});

test("the image's command is that of the C original's image, without a shell, and not as root", async () => {
  const text = await readFile(join(contrib, "docker/Dockerfile"), "utf8");
  const last = text.split(/^FROM /m).at(-1) ?? "";
  assert.match(last, /^ENTRYPOINT \["spiped", "-k", "\/spiped\/key", "-F"\]$/m);
  assert.match(last, /^USER 1000:1000$/m);
});

const python = commandOnPath("python3");

for (const file of ["side-car", "daemon-set"]) {
  const words = "import sys, yaml; print(yaml.safe_load(open(sys.argv[1]))['spec']['template']['spec'] is not None)";
  test(`kubernetes/${file}.yaml is YAML with a pod in it`, async (t) => {
    if (python === undefined) return t.skip("missing: python3");
    const { status, stdout, stderr } = await Command.run(t, [
      python,
      "-c",
      words,
      join(contrib, `kubernetes/${file}.yaml`),
    ]);
    if (stderr.includes("No module named 'yaml'")) return t.skip("missing: Python's yaml");
    assert.equal(status, 0, stderr);
    assert.equal(stdout, "True\n");
  });
}

test("sh parses FreeBSD's rc script", async (t) => {
  const { status, stderr } = await Command.run(t, ["/bin/sh", "-n", join(contrib, "freebsd/spiped")]);
  assert.equal(status, 0, stderr);
});
