// A running spiped or spipe seen from other processes: its name, its memory, and shared descriptors.

import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { closeSync, constants, openSync, readFileSync, readSync } from "node:fs";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { freeAddress, textOf } from "../support/addresses.js";
import { afterwards, limits, temporaryFolder, until } from "../support/cleanup.js";
import { Command } from "../support/command.js";
import { annoy, onLinux, readPidFile, startDaemonEnd, startDetached, stopDaemon } from "../support/daemon.js";
import { Listener } from "../support/listener.js";
import { untilListening } from "../support/listening.js";
import { ours, type Program, withCommands } from "../support/programs.js";
import { newKey, patience } from "../support/tunnel.js";

const options = { ...limits, skip: onLinux };

/** Starts each program, and returns its process ID. */
const starts: Readonly<Record<string, (t: TestContext, program?: Program) => Promise<number>>> = {
  "the daemon": async (t, { spiped } = ours) => (await startDaemonEnd(t, { program: spiped })).id,
  "spiped -F": async (t, { spiped } = ours) => {
    const key = await newKey(t);
    const [source, target] = [await freeAddress(t, "unix"), await freeAddress(t, "unix")];
    const flags = ["-F", "-d", "-s", textOf(source), "-t", textOf(target), "-k", key.path];
    const command = Command.start(t, [...spiped, ...flags]);
    assert.ok(await untilListening(command, source));
    return command.id;
  },
  spipe: async (t, { spipe } = ours) => {
    const key = await newKey(t);
    const target = await Listener.listen(t, "unix");
    const command = Command.start(t, [...spipe, "-t", textOf(target.address), "-k", key.path, ...patience]);
    await target.next();
    return command.id;
  },
};

for (const [name, start] of Object.entries(starts)) {
  test(`${name} has its own process name, and leaves no core dump`, options, async (t) => {
    const id = await start(t);
    assert.equal(readFileSync(`/proc/${id}/comm`, "latin1").trim(), name === "spipe" ? "spipe" : "spiped");
    assert.match(readFileSync(`/proc/${id}/limits`, "latin1"), /^Max core file size +0 +0 /m);
  });
}

withCommands(process.getuid?.() === 0 ? ["cat", "setpriv"] : ["cat"], () => {
  // Root can read every process by its capabilities; without them it is like any other user.
  const prefix = process.getuid?.() === 0 ? ["setpriv", "--bounding-set=-all", "--inh-caps=-all"] : [];

  function run(command: readonly [string, ...string[]]): readonly [string, ...string[]] {
    const [first = "", ...others] = [...prefix, ...command];
    return [first, ...others];
  }

  function canLookInto(id: number): boolean {
    const [file, ...args] = run(["cat", `/proc/${id}/environ`]);
    return spawnSync(file, args).status === 0;
  }

  const program: Program = { ...ours, spiped: run(ours.spiped), spipe: run(ours.spipe) };
  for (const [name, start] of Object.entries(starts)) {
    test(`${name} does not let other processes of its user read its memory`, options, async (t) => {
      const other = Command.start(t, run(["cat"]));
      await until(() => canLookInto(other.id) || undefined, "another process to be looked into");
      const id = await start(t, program);
      await until(() => !canLookInto(id) || undefined, "the process to be closed to others");
    });
  }
});

/** A pipe with a shared write end, which is not read until it ends. */
async function sharedPipe(t: TestContext): Promise<{ readonly reading: number; readonly writing: number }> {
  const path = join(await temporaryFolder(t), "pipe");
  assert.equal(spawnSync("mkfifo", [path]).status, 0);
  const reading = openSync(path, constants.O_RDONLY | constants.O_NONBLOCK);
  afterwards(t, () => closeSync(reading));
  const writing = openSync(path, constants.O_WRONLY);
  afterwards(t, () => closeSync(writing));
  return { reading, writing };
}

function isNonBlocking(descriptor: number): boolean {
  const flags = /^flags:\s*([0-7]+)$/m.exec(readFileSync(`/proc/self/fdinfo/${descriptor}`, "latin1"))?.[1];
  return (Number.parseInt(flags ?? "", 8) & constants.O_NONBLOCK) !== 0;
}

for (const flags of [[], ["-F"]] as const) {
  const name = flags.length === 0 ? "the daemon" : "spiped -F";
  test(`${name} never makes a shared pipe non-blocking`, options, async (t) => {
    const [output, errors] = [await sharedPipe(t), await sharedPipe(t)];
    const key = await newKey(t);
    const target = await Listener.listen(t, "unix");
    const source = await freeAddress(t, "unix");
    const addresses = ["-s", textOf(source), "-t", textOf(target.address)];
    const args = [...ours.spiped, "-d", ...addresses, "-k", key.path, ...flags] as const;
    const command = startDetached(t, args, { stdin: "ignore", stdout: output.writing, stderr: errors.writing });
    const check = (when: string) => {
      assert.equal(isNonBlocking(output.writing), false, `standard output ${when}`);
      assert.equal(isNonBlocking(errors.writing), false, `standard error ${when}`);
    };
    const isStarted = () => {
      check("during the start");
      return flags.length === 0 ? command.child.exitCode === 0 : command.child.pid !== undefined;
    };
    await until(() => isStarted() || undefined, "the start");
    if (flags.length > 0) assert.ok(await untilListening(command, source));
    for (let count = 0; count < 3; count += 1) await annoy(t, source);
    check("after lines were written");
    const id = flags.length === 0 ? readPidFile(`${textOf(source)}.pid`) : command.id;
    await stopDaemon({ id }, "SIGINT");
    check("after the end");
    const buffer = Buffer.alloc(65_536);
    const text = buffer.toString("latin1", 0, readSync(errors.reading, buffer));
    assert.match(text, /^spiped: listening on .*\n(spiped: connection from .*\n){3}spiped: stopped/);
  });
}

for (const program of ["spiped", "spipe"] as const) {
  test(`${program} --help writes everything to a shared pipe, and does not change its mode`, options, async (t) => {
    const { reading, writing } = await sharedPipe(t);
    const command = Command.start(t, [...ours[program], "--help"], { stdin: "ignore", stdout: writing });
    while (!command.isGone) {
      assert.equal(isNonBlocking(writing), false);
      await new Promise((resolve) => setImmediate(resolve));
    }
    assert.deepEqual(await command.exit(), { status: 0, signal: null });
    assert.equal(isNonBlocking(writing), false);
    const buffer = Buffer.alloc(65_536);
    assert.match(buffer.toString("latin1", 0, readSync(reading, buffer)), /^Usage: [\s\S]*--help[\s\S]*\n$/);
  });

  for (const flag of ["--help", "--version"]) {
    test(
      `${program} ${flag} is silent when its reader has gone, and prints one message on a full disk`,
      options,
      async (t) => {
        const writing = await pipeWithoutReader(t);
        const gone = Command.start(t, [...ours[program], flag], { stdin: "ignore", stdout: writing });
        assert.deepEqual([await gone.exit(), gone.stderr], [{ status: 0, signal: null }, ""]);
        const full = openSync("/dev/full", "w");
        afterwards(t, () => closeSync(full));
        const command = Command.start(t, [...ours[program], flag], { stdin: "ignore", stdout: full });
        assert.equal((await command.exit()).status, 1);
        assert.match(
          command.stderr,
          new RegExp(`^${program}: cannot write to standard output: no space left on device\n$`),
        );
      },
    );
  }
}

async function pipeWithoutReader(t: TestContext): Promise<number> {
  const path = join(await temporaryFolder(t), "pipe");
  assert.equal(spawnSync("mkfifo", [path]).status, 0);
  const reading = openSync(path, constants.O_RDONLY | constants.O_NONBLOCK);
  const writing = openSync(path, constants.O_WRONLY);
  afterwards(t, () => closeSync(writing));
  closeSync(reading);
  return writing;
}
