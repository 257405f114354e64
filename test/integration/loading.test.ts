// Which files the commands load, and when: few, signal handlers first, nothing more on a connection; and stack traces.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { writeFile } from "node:fs/promises";
import { join, relative, sep } from "node:path";
import { type TestContext, test } from "node:test";
import { freeAddress, textOf } from "../support/addresses.js";
import { limits, temporaryFolder } from "../support/cleanup.js";
import { Command } from "../support/command.js";
import { onLinux } from "../support/daemon.js";
import { isAlive, startClientEnd, startServerEnd } from "../support/one-end.js";
import { ours, root } from "../support/programs.js";
import { patience } from "../support/tunnel.js";

/** Variables with which Node.js runs a script before a command; it may use `require`, and `say`, to standard output. */
async function withScript(t: TestContext, script: string): Promise<Readonly<Record<string, string>>> {
  const path = join(await temporaryFolder(t), "before.cjs");
  await writeFile(path, `const say = (text) => require("node:fs").writeSync(1, text + "\\n");\n${script}`);
  return { NODE_OPTIONS: `--require ${path}` };
}

for (const program of ["spiped", "spipe"] as const) {
  test(`${program} loads three files, its manifest and its addon, and handles signals first`, limits, async (t) => {
    const script = `
      const { Module } = require("node:module");
      const load = Module._load;
      Module._load = function (name, parent, isMain) {
        if (name.startsWith("../") || name.startsWith("./")) say("heard: " + process.listeners("SIGTERM").length);
        return load.call(this, name, parent, isMain);
      };
      process.on("exit", () => Object.keys(require.cache).slice(1).forEach(say));`;
    const env = await withScript(t, script);
    const { status, stdout, stderr } = await Command.run(t, [...ours[program], "--version"], { stdin: "ignore", env });
    assert.deepEqual([status, stderr], [0, ""]);
    const lines = stdout.trimEnd().split("\n");
    const files = lines
      .filter((line) => line.startsWith(root))
      .map((path) => relative(root, path).replaceAll(sep, "/"));
    assert.match(files.splice(3, 2).sort().join(" "), /^native\/spiped\.[\w-]+\.node package\.json$/);
    assert.deepEqual(files, [`bin/${program}.js`, "dist/commands/early-signals.cjs", "dist/commands/commands.cjs"]);
    // No signal handler when its module is loaded, and one when anything later is.
    const heard = lines.filter((line) => line.startsWith("heard: "));
    assert.deepEqual([heard[0], ...new Set(heard.slice(1))], ["heard: 0", "heard: 1"]);
  });
}

/** Prints how many parts of Node.js are loaded, on SIGWINCH. */
const COUNTS_PARTS = `process.on("SIGWINCH", () => say(process.moduleLoadList.length + " " + process.moduleLoadList.at(-1)));`;

for (const [end, start] of [
  ["-d", startServerEnd],
  ["-e", startClientEnd],
] as const) {
  for (const forwardSecrecy of [[], ["-f"]]) {
    test(`${["spiped", end, ...forwardSecrecy].join(" ")} loads nothing more on a connection`, {
      ...limits,
      skip: onLinux,
    }, async (t) => {
      const env = await withScript(t, COUNTS_PARTS);
      const one = await start(t, { kind: "tcp", flags: [...patience, ...forwardSecrecy], env });
      const { command } = one.spiped;
      const output = command.takeStdout().setEncoding("utf8")[Symbol.asyncIterator]();
      command.signal("SIGWINCH");
      const { value: before } = await output.next();
      assert.ok(await isAlive(await one.establish()));
      command.signal("SIGWINCH");
      const { value: after } = await output.next();
      assert.equal(after, before);
    });
  }
}

test("HTTP is loaded only for --status", limits, async (t) => {
  const says = `process.on("SIGWINCH", () => say(process.moduleLoadList.filter((part) => /http/.test(part)).length));`;
  const env = await withScript(t, says);
  for (const [flags, expected] of [
    [[], /^0\n$/],
    [["--status", textOf(await freeAddress(t, "tcp"))], /^[1-9]\d*\n$/],
  ] as const) {
    const { command } = (await startServerEnd(t, { kind: "tcp", flags: [...patience, ...flags], env })).spiped;
    const output = command.takeStdout().setEncoding("utf8")[Symbol.asyncIterator]();
    command.signal("SIGWINCH");
    assert.match((await output.next()).value, expected);
  }
});

/** Throws when a part of the command first reads the clock. */
const HAS_FAULT = `performance.now = () => { throw new Error("broken clock"); };`;

async function faultOf(t: TestContext, nodeOptions: string): Promise<string> {
  const { NODE_OPTIONS = "" } = await withScript(t, HAS_FAULT);
  const args = ["-F", "-f", "-e", "-s", "[127.0.0.1]:0", "-t", "[127.0.0.1]:9", "-k", join(root, "LICENSE")];
  const env = { NODE_OPTIONS: `${NODE_OPTIONS} ${nodeOptions}` };
  const { status, stderr } = await Command.run(t, [...ours.spiped, ...args], { stdin: "ignore", env });
  assert.equal(status, 1);
  assert.match(stderr, /internal error: .*broken clock/);
  return stderr;
}

test("a stack trace points into the command's file, which has the names of the sources", limits, async (t) => {
  const [, path = "", line = ""] = /\((\S+commands\.cjs):(\d+):\d+\)/.exec(await faultOf(t, "")) ?? [];
  const before = readFileSync(path, "utf8").split("\n").slice(0, Number(line));
  assert.match(before.at(-1) ?? "", /performance\.now\(\)/);
  assert.match(before.findLast((text) => /^\s*\/\/ src\//.test(text)) ?? "", /^\s*\/\/ src\/clock\.ts$/);
});

test("in a checkout, --enable-source-maps maps stack traces to the sources", limits, async (t) => {
  assert.match(await faultOf(t, "--enable-source-maps"), /src\/clock\.ts:\d+/);
});
