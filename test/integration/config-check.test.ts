// --check with --config: mistakes first, all of them; a file without any is tried tunnel by tunnel.

import assert from "node:assert/strict";
import { test } from "node:test";
import { limits } from "../support/cleanup.js";
import { Command } from "../support/command.js";
import { ConfigFile, table } from "../support/config-file.js";
import { ours } from "../support/programs.js";

test("--check reports all mistakes of a file, and starts nothing", limits, async (t) => {
  const file = await ConfigFile.make(t);
  const a = await file.pair("a");
  await file.write(a.text({ sorce: "/s" }, { o: 5 }));
  const { status, stderr } = await Command.run(t, [...ours.spiped, "--config", file.path, "--check"]);
  assert.equal(status, 1);
  assert.deepEqual(stderr.trimEnd().split("\n"), [
    `spiped: ${file.path}:4: encrypt.a.sorce: did you mean source?`,
    `spiped: ${file.path}:8: decrypt.a-far.o: write its long name, timeout`,
  ]);
});

test("--check of a file without mistakes tries each tunnel, and names it", limits, async (t) => {
  const file = await ConfigFile.make(t);
  const a = await file.pair("a");
  await file.write(a.text());
  const args = [...ours.spiped, "-F", "--config", file.path, "--check"] as const;
  const { stdout } = await Command.run(t, args);
  for (const name of ["a", "a-far"]) {
    assert.match(stdout, new RegExp(`^ok +${name}: key file: `, "m"));
    assert.match(stdout, new RegExp(`^ok +${name}: source: `, "m"));
  }
  // The near end's target is the far end, which is not running.
  assert.match(stdout, /^failed +a: /m);
  await file.write(table("decrypt.far", { source: "/nowhere/socket", target: "/nowhere/service" }));
  assert.equal((await Command.run(t, args)).status, 1);
});
