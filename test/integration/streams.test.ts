// spiped keeps running when its standard streams are closed or full, lose their reader, or are a terminal that closes.

import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { closeSync, constants, openSync, writeSync } from "node:fs";
import { readdir } from "node:fs/promises";
import { dirname, join } from "node:path";
import { type TestContext, test } from "node:test";
import { type Address, freeAddress, textOf } from "../support/addresses.js";
import { afterwards, limits, temporaryFolder, until } from "../support/cleanup.js";
import type { Command } from "../support/command.js";
import { annoy, establishThrough, onLinux, readPidFile, startDetached, stopDaemon } from "../support/daemon.js";
import { Listener } from "../support/listener.js";
import { untilListening } from "../support/listening.js";
import { isAlive } from "../support/one-end.js";
import { childrenOf, untilEnded } from "../support/processes.js";
import { ours, root, withCommands } from "../support/programs.js";
import { type Key, newKey, patience } from "../support/tunnel.js";

const options = { ...limits, skip: onLinux };

/** The command line of a spiped -d, and what is needed to connect through it. */
interface Service {
  readonly args: readonly [string, ...string[]];
  readonly source: Address;
  readonly target: Listener;
  readonly key: Key;
}

async function newService(t: TestContext, flags: readonly string[] = []): Promise<Service> {
  const key = await newKey(t);
  const target = await Listener.listen(t, "unix");
  const source = await freeAddress(t, "unix");
  const addresses = ["-s", textOf(source), "-t", textOf(target.address)];
  return { args: [...ours.spiped, "-d", ...addresses, "-k", key.path, ...patience, ...flags], source, target, key };
}

/** Makes spiped log, then checks that a new connection works. */
async function goesOn(t: TestContext, { source, target, key }: Service): Promise<void> {
  for (let count = 0; count < 3; count += 1) await annoy(t, source);
  assert.ok(await isAlive(await establishThrough(t, source, target, key)));
}

/** Closes the open connections. */
const atOnce = "SIGINT";

for (const closed of ["<&-", ">&-", "2>&-", "<&- >&- 2>&-"]) {
  test(`the daemon starts and works with ${closed}`, options, async (t) => {
    const service = await newService(t);
    const shell = startDetached(t, ["sh", "-c", `exec "$@" ${closed}`, "sh", ...service.args]);
    assert.equal((await shell.ownExit()).status, 0);
    const id = readPidFile(`${textOf(service.source)}.pid`);
    await goesOn(t, service);
    await stopDaemon({ id }, atOnce);
    assert.deepEqual(await readdir(dirname(textOf(service.source))), []);
  });
}

test("spiped -F starts and works with all standard streams closed", options, async (t) => {
  const service = await newService(t, ["-F"]);
  const shell = startDetached(t, ["sh", "-c", 'exec "$@" <&- >&- 2>&-', "sh", ...service.args]);
  assert.ok(await untilListening(shell, service.source));
  await goesOn(t, service);
  shell.signal(atOnce);
  assert.equal((await shell.ownExit()).signal, null);
});

test("the daemon keeps working when the reader of its standard error is gone", options, async (t) => {
  const service = await newService(t);
  const command = startDetached(t, service.args);
  assert.equal((await command.ownExit()).status, 0, command.stderr);
  command.child.stderr?.destroy();
  await goesOn(t, service);
  await stopDaemon({ id: readPidFile(`${textOf(service.source)}.pid`) }, atOnce);
});

/** A full pipe without a reader. */
async function fullPipe(t: TestContext): Promise<number> {
  const path = join(await temporaryFolder(t), "pipe");
  assert.equal(spawnSync("mkfifo", [path]).status, 0);
  const both = openSync(path, constants.O_RDWR | constants.O_NONBLOCK);
  afterwards(t, () => closeSync(both));
  for (const piece of [Buffer.alloc(65_536), Buffer.alloc(1)]) {
    try {
      for (;;) writeSync(both, piece);
    } catch (error) {
      assert.equal((error as NodeJS.ErrnoException).code, "EAGAIN");
    }
  }
  const writing = openSync(path, constants.O_WRONLY);
  afterwards(t, () => closeSync(writing));
  return writing;
}

for (const flags of [[], ["-F"]] as const) {
  const name = flags.length === 0 ? "the daemon" : "spiped -F";
  test(`${name} works with a full pipe as its standard error, and stops on a signal`, options, async (t) => {
    const service = await newService(t, flags);
    const command = startDetached(t, service.args, { stdin: "ignore", stderr: await fullPipe(t) });
    if (flags.length === 0) assert.equal((await command.ownExit()).status, 0);
    else assert.ok(await untilListening(command, service.source));
    await goesOn(t, service);
    const id = flags.length === 0 ? readPidFile(`${textOf(service.source)}.pid`) : command.id;
    await stopDaemon({ id }, atOnce);
  });
}

withCommands(["python3"], () => {
  /** Runs a command in a new terminal, which exists until the test ends its standard input. */
  function inTerminal(t: TestContext, args: readonly string[]): Command {
    return startDetached(t, ["python3", join(root, "test/support/terminal.py"), ...args], { stdin: "pipe" });
  }

  test("the daemon keeps working after its terminal has closed", options, async (t) => {
    const service = await newService(t);
    const terminal = inTerminal(t, ["sh", "-c", '"$@" && echo it started && read answer', "sh", ...service.args]);
    await until(() => (terminal.stdout.includes("it started") ? true : undefined), "the daemon to start");
    const id = readPidFile(`${textOf(service.source)}.pid`);
    terminal.stdin.end();
    await terminal.ownExit();
    await goesOn(t, service);
    await stopDaemon({ id }, atOnce);
  });

  for (const how of ["SIGHUP", "closing the terminal"]) {
    test(
      `${how} stops a spiped -F whose standard input is a terminal, and its socket is removed`,
      options,
      async (t) => {
        const service = await newService(t, ["-F"]);
        const terminal = inTerminal(t, service.args);
        assert.ok(await untilListening(terminal, service.source));
        const [id = 0] = childrenOf(terminal.id);
        if (how === "SIGHUP") process.kill(id, "SIGHUP");
        else terminal.stdin.end();
        await untilEnded(id);
        terminal.stdin.end();
        await terminal.exit();
        assert.deepEqual(await readdir(dirname(textOf(service.source))), []);
      },
    );
  }
});
