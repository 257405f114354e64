// --check with --config: mistakes first, all of them; a file without any is tried tunnel by tunnel.

import assert from "node:assert/strict";
import { test } from "node:test";
import { textOf } from "../support/addresses.js";
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
    `spiped: ${file.path}:4: encrypt.a.sorce: unknown setting; did you mean source?`,
    `spiped: ${file.path}:8: decrypt.a-far.o: write its long name, timeout`,
  ]);
});

test("--check of a file without mistakes tries each tunnel, and names it", limits, async (t) => {
  const file = await ConfigFile.make(t);
  const a = await file.pair("a");
  await file.write(a.text({ timeout: 1 }, { timeout: 1 }));
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

test(
  "tunnels of a file that lead to each other are found by --check, at the start and on a reload",
  limits,
  async (t) => {
    const file = await ConfigFile.make(t);
    const a = await file.pair("a");
    const [near, far] = [textOf(a.near), textOf(a.far)];
    assert.ok(a.near.kind === "tcp");
    // The same port under another name.
    await file.write(a.text({}, { target: `localhost:${a.near.port}`, source: far }));
    const { status, stdout } = await Command.run(t, [...ours.spiped, "-F", "--config", file.path, "--check"]);
    assert.equal(status, 1);
    assert.match(
      stdout,
      /^failed +loop: tunnels connect in a loop: a to a-far, a-far to a\n +hint: the target of spiped -e/m,
    );
    const spiped = await file.start();
    const loop = /tunnels connect in a loop: a to a-far, a-far to a; hint: the target of spiped -e/;
    await spiped.line(loop);
    await file.write(a.text({}, { target: near, source: far, "max-connections": 5 }));
    assert.equal((await file.reload(spiped)).filter((line) => loop.test(line)).length, 1);
    // Nothing has changed, and so there is nothing new to say.
    assert.equal((await file.reload(spiped)).filter((line) => loop.test(line)).length, 0);
  },
);
