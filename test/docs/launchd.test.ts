// The launchd daemon: its property list, checked with Python and plutil if installed, and arguments that spiped accepts.

import assert from "node:assert/strict";
import { join } from "node:path";
import { test } from "node:test";
import { freeAddress, textOf } from "../support/addresses.js";
import { limits } from "../support/cleanup.js";
import { Command } from "../support/command.js";
import { Listener } from "../support/listener.js";
import { commandOnPath, ours, root, withCommands } from "../support/programs.js";
import { newKey } from "../support/tunnel.js";

const file = join(root, "contrib/launchd/org.spiped.ssh.plist");

interface Daemon {
  readonly Label: string;
  readonly ProgramArguments: readonly string[];
  readonly EnvironmentVariables: Readonly<Record<string, string>>;
  readonly ExitTimeOut: number;
}

withCommands(["python3"], ([python = ""]) => {
  test("spiped accepts the arguments of the launchd daemon", limits, async (t) => {
    const program = "import json, plistlib, sys; print(json.dumps(plistlib.load(open(sys.argv[1], 'rb'))))";
    const read = await Command.run(t, [python, "-c", program, file], { stdin: "ignore" });
    assert.equal(read.status, 0, read.stderr);
    const daemon = JSON.parse(read.stdout) as Daemon;
    // launchd expects the file to be named after its label.
    assert.ok(file.endsWith(`/${daemon.Label}.plist`));
    const { PATH = "", ...environment } = daemon.EnvironmentVariables;
    assert.ok(PATH.split(":").includes("/usr/local/bin"));
    assert.ok(Number(environment["SPIPED_DRAIN_TIMEOUT"]) < daemon.ExitTimeOut);

    const [env, name, ...given] = daemon.ProgramArguments;
    assert.deepEqual([env, name], ["/usr/bin/env", "spiped"]);
    assert.ok(given.includes("-F"), "launchd takes a daemon that forks for one that has exited");
    const instead: Readonly<Record<string, string>> = {
      "-s": textOf(await freeAddress(t, "tcp")),
      "-t": textOf((await Listener.listen(t, "tcp")).address),
      "-k": (await newKey(t)).path,
    };
    const args = given.map((arg, index) => instead[given[index - 1] ?? ""] ?? arg);
    const check = await Command.run(t, [...ours.spiped, ...args, "--check"], { stdin: "ignore", env: environment });
    assert.equal(check.status, 0, check.stdout + check.stderr);
  });
});

test("plutil finds nothing wrong in the launchd daemon", async (t) => {
  const plutil = commandOnPath("plutil");
  if (plutil === undefined) return t.skip("needs plutil, which macOS has");
  const { status, stdout } = await Command.run(t, [plutil, "-lint", file], { stdin: "ignore" });
  assert.equal(status, 0, stdout);
});
