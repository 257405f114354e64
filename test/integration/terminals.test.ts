// Terminals that close: programs running in one, or started in one, exit correctly and never crash.

import assert from "node:assert/strict";
import { readdirSync, readFileSync, readlinkSync } from "node:fs";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { type Address, freeAddress, textOf } from "../support/addresses.js";
import { limits, until } from "../support/cleanup.js";
import type { Command } from "../support/command.js";
import { annoy, establishThrough, onLinux, readPidFile, startDetached } from "../support/daemon.js";
import { Listener } from "../support/listener.js";
import { untilListening } from "../support/listening.js";
import { isAlive } from "../support/one-end.js";
import { childrenOf, isRunning, untilEnded } from "../support/processes.js";
import { ours, root, withCommands } from "../support/programs.js";
import { type Key, newKey, patience } from "../support/tunnel.js";

const options = { ...limits, skip: onLinux };

interface InTerminal {
  readonly terminal: Command;
  readonly source: Address;
  readonly target: Listener;
  readonly key: Key;
}

/**
 * Starts a spiped -d in a terminal.
 *
 * @param shell - The shell command that starts it, with spiped as `"$@"`.
 * @param targetText - Its -t; by default a target of the test.
 */
async function startInTerminal(
  t: TestContext,
  shell: string,
  flags: readonly string[] = [],
  targetText?: string,
): Promise<InTerminal> {
  const key = await newKey(t);
  const target = await Listener.listen(t, "unix");
  const source = await freeAddress(t, "unix");
  const addresses = ["-s", textOf(source), "-t", targetText ?? textOf(target.address)];
  const args = [...ours.spiped, "-d", ...addresses, "-k", key.path, ...patience, ...flags];
  const helper = ["python3", join(root, "test/support/orphans.py")] as const;
  const terminal = startDetached(t, [...helper, "sh", "-c", shell, "sh", ...args], { stdin: "pipe" });
  return { terminal, source, target, key };
}

/** Closes the terminal. @returns When it is closed. */
async function takeAway(terminal: Command): Promise<void> {
  terminal.stdin.write("\n");
  await until(() => (terminal.stdout.includes("terminal ") ? true : undefined), "the end of the terminal");
}

/** How a process exited, after all have. */
async function endOf(terminal: Command, id: number): Promise<string | undefined> {
  await terminal.exit();
  return new RegExp(`^${id} (.*)$`, "m").exec(terminal.stdout.toString())?.[1];
}

withCommands(["python3"], () => {
  test("the daemon detaches from its terminal and does not crash when it closes", options, async (t) => {
    const started = await startInTerminal(t, '"$@" && echo it started');
    const { terminal, source, target, key } = started;
    const id = await until(() => daemonOf(source), "the daemon");
    await untilListening(terminal, source);
    await until(
      () => (childrenOf(terminal.id).filter(isRunning).length === 1 ? true : undefined),
      "the end of the first process",
    );
    if (process.getuid?.() === 0) {
      const links = () => readdirSync(`/proc/${id}/fd`).map((descriptor) => linkOf(`/proc/${id}/fd/${descriptor}`));
      const hasNone = () => !links().some((path) => /^\/dev\/(pts\/|tty)/.test(path)) || undefined;
      // It listens shortly before it detaches.
      await until(hasNone, "the daemon to let go of its terminal");
    }
    await takeAway(terminal);
    assert.match(terminal.stdout.toString(), /terminal unchanged[\s\S]*spiped: listening on/);
    for (let count = 0; count < 3; count += 1) await annoy(t, source);
    assert.ok(await isAlive(await establishThrough(t, source, target, key)));
    process.kill(id, "SIGINT");
    await untilEnded(id);
    assert.equal(await endOf(terminal, id), "exit 1");
  });

  for (const [what, shell] of [
    ["a terminal", 'exec "$@"'],
    ["a terminal as standard output and error only", 'exec "$@" < /dev/null'],
    ["a terminal as standard error only", 'exec "$@" < /dev/null > /dev/null'],
  ] as const) {
    test(`spiped -F with ${what} that closes exits 0 and does not crash`, options, async (t) => {
      const { terminal, source, target, key } = await startInTerminal(t, shell, ["-F"]);
      await untilListening(terminal, source);
      const [id = 0] = childrenOf(terminal.id);
      await takeAway(terminal);
      if (shell.includes("<")) {
        await annoy(t, source);
        const { peer, plain } = await establishThrough(t, source, target, key);
        assert.ok(await isAlive({ peer, plain }));
        peer.link.finish();
        plain.finish();
        await plain.readToEnd();
        process.kill(id, "SIGTERM");
      }
      assert.equal(await endOf(terminal, id), "exit 0");
    });
  }

  test("spiped -F does not crash when its terminal closes during a lookup", options, async (t) => {
    const { terminal } = await startInTerminal(t, 'exec "$@" < /dev/null', ["-F", "-D"], "no-such-name.invalid:1");
    const id = await until(
      () => childrenOf(terminal.id).find((child) => nameOf(child) === "spiped"),
      "the process to have its name",
    );
    await takeAway(terminal);
    process.kill(id, "SIGTERM");
    assert.match((await endOf(terminal, id)) ?? "", /^exit [01]$/);
  });

  for (const [what, shell] of [
    ["trap", `trap "" HUP; "$@"; exit $?`],
    ["nohup", `_=/usr/bin/nohup exec "$@"`],
  ] as const) {
    test(`spiped -F in a terminal ignores SIGHUP under ${what}`, options, async (t) => {
      const { terminal, source, target, key } = await startInTerminal(t, shell, ["-F"]);
      await untilListening(terminal, source);
      const [shellId = 0] = childrenOf(terminal.id);
      const id = what === "trap" ? (childrenOf(shellId)[0] ?? 0) : shellId;
      await takeAway(terminal);
      assert.ok(await isAlive(await establishThrough(t, source, target, key)));
      process.kill(id, "SIGINT");
      assert.match((await endOf(terminal, shellId)) ?? "", /^exit [01]$/);
    });
  }
});

function daemonOf(source: Address): number | undefined {
  try {
    return readPidFile(`${textOf(source)}.pid`);
  } catch {
    return undefined;
  }
}

function nameOf(id: number): string {
  try {
    return readFileSync(`/proc/${id}/comm`, "latin1").trim();
  } catch {
    return "";
  }
}

function linkOf(path: string): string {
  try {
    return readlinkSync(path);
  } catch {
    return "";
  }
}
