// SIGUSR1 and SIGUSR2: by default Node.js opens its debugger on SIGUSR1, for every user on the machine.

import assert from "node:assert/strict";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { freeAddress, textOf } from "../support/addresses.js";
import { limits, until } from "../support/cleanup.js";
import { Command } from "../support/command.js";
import { onLinux, startDaemonEnd } from "../support/daemon.js";
import { Listener } from "../support/listener.js";
import { allEnds, isAlive } from "../support/one-end.js";
import { root } from "../support/programs.js";
import { newKey, patience } from "../support/tunnel.js";

/** Sends both signals, and expects one message for each and none about a debugger. */
async function saysItsState(command: Command, id: number, state: RegExp): Promise<void> {
  process.kill(id, "SIGUSR1");
  await command.line(/SIGUSR1: /);
  process.kill(id, "SIGUSR2");
  assert.match(await command.line(/SIGUSR2: /), state);
  assert.doesNotMatch(command.stderr, /debugger/i);
}

for (const { name, start } of allEnds) {
  test(`${name} logs its state on SIGUSR1 and SIGUSR2, opens no debugger, and continues`, limits, async (t) => {
    const end = await start(t);
    const friend = await end.establish();
    await saysItsState(end.spiped.command, end.spiped.command.id, /SIGUSR2: 1 open connection/);
    assert.ok(await isAlive(friend));
  });
}

test("the daemon logs its state too, and continues", { ...limits, skip: onLinux }, async (t) => {
  const daemon = await startDaemonEnd(t);
  await saysItsState(daemon.command, daemon.id, /SIGUSR2: 0 open connections/);
  assert.ok(await isAlive(await daemon.establish()));
});

/** Sends Node.js the signal before our code runs, and waits until its debugger is open. */
const EARLY_SIGNAL = `data:text/javascript,${encodeURIComponent(`
  import { url } from "node:inspector";
  process.kill(process.pid, "SIGUSR1");
  while (url() === undefined) await new Promise((resolve) => setImmediate(resolve));
  process.on("exit", () => process.stdout.write(url() ?? "closed"));
`)}`;

/** Opens a debugger long after spiped began to listen for signals, as the thread of Node.js's does that a signal has woken, and that runs late. */
const LATE_THREAD = `data:text/javascript,${encodeURIComponent(`
  import { open, url } from "node:inspector";
  let isOpen = false;
  let looks = 0;
  const look = setInterval(() => {
    if (process.listenerCount("SIGUSR1") > 0) looks += 1;
    if (!isOpen && looks > 100) {
      open(0);
      isOpen = true;
    } else if (isOpen && url() === undefined) {
      process.stdout.write("closed");
      clearInterval(look);
    }
  }, 1);
`)}`;

async function startEarly(
  t: TestContext,
  command: "spiped" | "spipe",
  flags: readonly string[],
  opener = EARLY_SIGNAL,
): Promise<Command> {
  // Port 0 lets tests run at the same time.
  const node = [process.execPath, "--inspect-port=0", "--import", opener] as const;
  const key = await newKey(t);
  return Command.start(t, [...node, join(root, `bin/${command}.js`), "-k", key.path, ...patience, ...flags]);
}

test("a debugger opened by a signal before spiped handles it is closed", limits, async (t) => {
  const [source, target] = [await freeAddress(t, "tcp"), await freeAddress(t, "tcp")];
  const command = await startEarly(t, "spiped", ["-d", "-F", "-s", textOf(source), "-t", textOf(target)]);
  await command.line(/^spiped: listening on/);
  command.signal("SIGTERM");
  assert.equal((await command.exit()).status, 0);
  assert.match(command.stderr, /Debugger listening on/);
  assert.equal(command.stdout.toString(), "closed");
});

test("a debugger that opens late, by a signal before spiped handles it, is closed", limits, async (t) => {
  const [source, target] = [await freeAddress(t, "tcp"), await freeAddress(t, "tcp")];
  const flags = ["-d", "-F", "-s", textOf(source), "-t", textOf(target)];
  const command = await startEarly(t, "spiped", flags, LATE_THREAD);
  await until(() => (command.stdout.toString() === "closed" ? true : undefined), "the debugger to be closed");
  command.signal("SIGTERM");
  assert.equal((await command.exit()).status, 0);
  assert.match(command.stderr, /Debugger listening on/);
});

test("a debugger opened by a signal before spipe handles it is closed", limits, async (t) => {
  const target = await Listener.listen(t, "tcp");
  const command = await startEarly(t, "spipe", ["-t", textOf(target.address)]);
  await target.next();
  command.signal("SIGTERM");
  assert.equal((await command.exit()).status, 0);
  assert.match(command.stderr, /Debugger listening on/);
  assert.equal(command.stdout.toString(), "closed");
});
