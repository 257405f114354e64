// Resource limits: everything works with the minimum in docs/deployment.md; with less, the start reports what is missing if
// Node.js allows it. Nothing hangs.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { chmod, chown } from "node:fs/promises";
import { dirname, join } from "node:path";
import { type TestContext, test } from "node:test";
import { freeAddress, textOf } from "../support/addresses.js";
import { limits } from "../support/cleanup.js";
import { Command } from "../support/command.js";
import { establishThrough, onLinux, startDaemonEnd, startDetached } from "../support/daemon.js";
import { Listener } from "../support/listener.js";
import { isAlive } from "../support/one-end.js";
import { commandOnPath, declareIf, ours, root } from "../support/programs.js";
import { asRoot } from "../support/root.js";
import { type Key, newKey, patience } from "../support/tunnel.js";

/** The numbers on the page. */
function least(what: RegExp): number {
  const [, number = ""] = what.exec(readFileSync(join(root, "docs/deployment.md"), "utf8")) ?? [];
  assert.match(number, /^\d+$/, `docs/deployment.md names ${what}`);
  return Number(number);
}

const leastFiles = least(/\| open files[^|]*\| (\d+) /);
const leastTasks = least(/\| tasks[^|]*\| (\d+) /);

/** A command run under a ulimit. */
function withFiles(files: number, args: readonly string[]): readonly [string, ...string[]] {
  return ["sh", "-c", `ulimit -n ${files} && exec "$@"`, "sh", ...args];
}

/** A user without other processes, so that the system counts only the test's. */
const lonely = 1_900_000_000 + process.pid;

async function keyOfLonely(t: TestContext): Promise<Key> {
  const key = await newKey(t);
  await chmod(dirname(key.path), 0o755);
  await chown(dirname(key.path), lonely, lonely);
  await chown(key.path, lonely, lonely);
  return key;
}

/** A command run with a limit of tasks, all of them available to it. */
function withTasks(tasks: number, args: readonly string[]): readonly [string, ...string[]] {
  const become = ["setpriv", "--reuid", String(lonely), "--regid", String(lonely), "--clear-groups"] as const;
  return [...become, "prlimit", `--nproc=${tasks}`, ...args];
}

test("a connection works with the minimum of open files on the page", { ...limits, skip: onLinux }, async (t) => {
  const program = withFiles(leastFiles, ours.spiped);
  const daemon = await startDaemonEnd(t, { program, source: "tcp" });
  assert.ok(await isAlive(await daemon.establish()));
});

test("a daemon reports a limit of open files that is too low to start", { ...limits, skip: onLinux }, async (t) => {
  const { path } = await newKey(t);
  const args = [...ours.spiped, "-d", "-s", "/nowhere/s", "-t", "/nowhere", "-k", path];
  const { status, stderr } = await Command.run(t, withFiles(22, args));
  assert.equal(status, 1);
  const tooFew = `this process may open too few files to start: .*\\nspiped: hint: .* ${leastFiles} .*`;
  assert.match(stderr, new RegExp(`^spiped: ${tooFew}\\n$`));
});

/** Refuses memory that is or was writable as code from now on, as MemoryDenyWriteExecute= does; status 77 where it cannot. */
const denyWriteExecute = `
import ctypes, os, sys
PR_SET_MDWE, REFUSE_EXEC_GAIN = 65, 1
if ctypes.CDLL(None).prctl(PR_SET_MDWE, REFUSE_EXEC_GAIN, 0, 0, 0) != 0: sys.exit(77)
os.execvp(sys.argv[1], sys.argv[1:])
`;

const python = commandOnPath("python3");
declareIf(process.platform === "linux" ? python : undefined, "Linux and python3", (found) => {
  test("with node --jitless a connection works under MemoryDenyWriteExecute", limits, async (t) => {
    const deny = [found, "-c", denyWriteExecute] as const;
    const { status } = await Command.run(t, [...deny, "true"]);
    if (status === 77) {
      t.skip("this system cannot deny it to a process");
      return;
    }
    const [node, ...spiped] = ours.spiped;
    const daemon = await startDaemonEnd(t, { program: [...deny, node, "--jitless", ...spiped], source: "tcp" });
    assert.ok(await isAlive(await daemon.establish()));
  });
});

asRoot(["setpriv", "prlimit", "unshare", "mount"], () => {
  test("a daemon starts with the minimum of tasks on the page", limits, async (t) => {
    const key = await keyOfLonely(t);
    const target = await Listener.listen(t, "tcp");
    const source = await freeAddress(t, "tcp");
    const flags = ["-d", "-s", textOf(source), "-t", textOf(target.address), "-k", key.path, ...patience];
    const args = withTasks(leastTasks, [...ours.spiped, ...flags]);
    const command = startDetached(t, args, { stdin: "ignore", cwd: dirname(key.path) });
    assert.equal((await command.ownExit()).status, 0, command.stderr);
    assert.ok(await isAlive(await establishThrough(t, source, target, key)));
  });

  for (const fewer of [14, 16, 18]) {
    test(
      `a daemon limited to ${fewer} tasks with its first process reports this and does not hang`,
      limits,
      async (t) => {
        const key = await keyOfLonely(t);
        const flags = ["-d", "-s", `${key.path}.s`, "-t", "/nowhere", "-k", key.path];
        const command = startDetached(t, withTasks(fewer, [...ours.spiped, ...flags]));
        assert.equal((await command.exit()).status, 1);
        assert.match(
          command.stderr,
          /^spiped: a daemon needs \d+ more tasks, .*\nspiped: hint: raise the limit: .*\n$/,
        );
      },
    );
  }

  /** A command run with a system folder emptied. */
  const without = (folder: string, args: readonly string[]) =>
    ["unshare", "--mount", "sh", "-c", 'mount -t tmpfs none "$0" && exec "$@"', folder, ...args] as const;

  for (const key of ["a file", "standard input"]) {
    test(`a daemon with its key from ${key} reports a missing /dev/null`, limits, async (t) => {
      const { path } = await newKey(t);
      const flags = ["-d", "-s", "/nowhere/s", "-t", "/nowhere", "-k", key === "a file" ? path : "-"];
      const command = startDetached(t, without("/dev", [...ours.spiped, ...flags]), { stdin: "pipe" });
      command.stdin.end("key");
      assert.equal((await command.exit()).status, 1);
      assert.match(command.stderr, /^spiped: a daemon needs \/dev\/null: .*\nspiped: hint: .*\n$/);
    });
  }

  test("spiped -F runs without /proc, also with -u", limits, async (t) => {
    const key = await newKey(t);
    const source = await freeAddress(t, "tcp");
    const flags = ["-F", "-d", "-s", textOf(source), "-t", "/nowhere", "-k", key.path, "-u", "nobody"];
    const command = Command.start(t, without("/proc", [...ours.spiped, ...flags]), { stdin: "ignore" });
    await command.line(/listening on/);
  });
});
