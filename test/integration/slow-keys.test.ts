// Keys that block: a named pipe without a writer, as an example of a blocking path. Signals always work.

import assert from "node:assert/strict";
import { closeSync, readdirSync, readFileSync } from "node:fs";
import { readdir } from "node:fs/promises";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { afterwards, limits, temporaryFolder, until } from "../support/cleanup.js";
import type { Command } from "../support/command.js";
import { establishThrough, onLinux, readPidFile, startDetached, stopDaemon } from "../support/daemon.js";
import { Listener } from "../support/listener.js";
import { isAlive } from "../support/one-end.js";
import { namedPipe, openForReader, writeToReader } from "../support/pipes.js";
import { childrenOf, untilEnded } from "../support/processes.js";
import { ours } from "../support/programs.js";
import { newKey, patience } from "../support/tunnel.js";

const options = { ...limits, skip: onLinux };

interface Waiting {
  readonly command: Command;
  readonly folder: string;
  readonly pipe: string;
}

/** Starts a command that waits for its key from a named pipe. Its working directory is empty. */
async function startWaiting(t: TestContext, args: (pipe: string) => readonly string[]): Promise<Waiting> {
  const folder = await temporaryFolder(t);
  const pipe = await namedPipe(t);
  const [file = "", ...others] = args(pipe);
  const command = startDetached(t, [file, ...others], { stdin: "ignore", cwd: folder });
  await until(() => (readsKey(command.id) ? true : undefined), "a thread that opens the key file");
  return { command, folder, pipe };
}

/** Whether a process has a thread that opens or reads a key file. */
function readsKey(id: number): boolean {
  try {
    return readdirSync(`/proc/${id}/task`).some((task) => {
      return readFileSync(`/proc/${id}/task/${task}/comm`, "utf8") === "key file\n";
    });
  } catch {
    // A thread that has ended meanwhile.
    return false;
  }
}

const tunnel = ["-d", "-s", "[127.0.0.1]:0", "-t", "[127.0.0.1]:9"] as const;

const programs = [
  ["spiped -F", (pipe: string) => [...ours.spiped, "-F", ...tunnel, "-k", pipe]],
  ["spiped", (pipe: string) => [...ours.spiped, ...tunnel, "-p", "pid", "-k", pipe]],
  ["spiped -D", (pipe: string) => [...ours.spiped, "-D", ...tunnel, "-p", "pid", "-k", pipe]],
  ["spipe", (pipe: string) => [...ours.spipe, "-t", "[127.0.0.1]:9", "-k", pipe]],
  ["spiped key-id", (pipe: string) => [...ours.spiped, "key-id", pipe]],
] as const;

for (const [name, args] of programs) {
  for (const signal of ["SIGTERM", "SIGINT"] as const) {
    for (const phase of ["opens", "reads"] as const) {
      test(`${name} exits on ${signal} while it ${phase} a key that blocks`, options, async (t) => {
        const { command, folder, pipe } = await startWaiting(t, args);
        const isDaemon = name === "spiped" || name === "spiped -D";
        let second: number | undefined;
        if (phase === "reads") {
          const writer = await until(() => openForReader(pipe), "somebody who opens the key");
          afterwards(t, () => closeSync(writer));
          if (isDaemon) {
            second = await until(() => childrenOf(command.id).find(readsKey), "a second process that reads the key");
          }
        }
        command.signal(signal);
        const { status, signal: by } = await command.exit();
        const isOrderly = name === "spiped -F" || (name === "spipe" && signal === "SIGTERM");
        // Killed by the signal if it arrives before the starting command has its handler.
        assert.ok(by === signal || status === (isOrderly ? 0 : 1), `status ${status}, ${command.stderr}`);
        if (second !== undefined) await untilEnded(second);
        assert.deepEqual(await readdir(folder), []);
        assert.equal(command.stdout.toString(), "");
      });
    }
  }
}

test(
  "a daemon whose second process gets SIGTERM while reading its key exits, and leaves nothing behind",
  options,
  async (t) => {
    const { command, folder, pipe } = await startWaiting(t, programs[1][1]);
    const writer = await until(() => openForReader(pipe), "somebody who opens the key");
    afterwards(t, () => closeSync(writer));
    const second = await until(() => childrenOf(command.id).find(readsKey), "a second process that reads the key");
    process.kill(second, "SIGTERM");
    assert.equal((await command.exit()).status, 1);
    assert.match(command.stderr, /^spiped: cannot start the daemon: it was stopped before it was ready$/m);
    assert.deepEqual(await readdir(folder), []);
  },
);

/** These include Node.js's signal pipe, and descriptors that never end. */
for (const [name, args] of programs) {
  test(`${name} refuses Node.js's own descriptors as its key`, options, async (t) => {
    const folder = await temporaryFolder(t);
    for (let descriptor = 3; descriptor <= 12; descriptor += 1) {
      const [file = "", ...others] = args(`/proc/self/fd/${descriptor}`);
      const command = startDetached(t, [file, ...others], { stdin: "ignore", cwd: folder });
      assert.equal((await command.exit()).status, 1);
      // Which of these are open depends on Node.
      assert.match(
        command.stderr,
        /cannot read key file \/proc\/self\/fd\/\d+: (spiped was not given|there is no such)/,
      );
    }
  });
}

test("the daemon does not keep the pipe of bash's <(…)", options, async (t) => {
  const key = await newKey(t);
  const source = join(await temporaryFolder(t), "socket");
  const args = [...ours.spiped, "-d", "-s", source, "-t", "[127.0.0.1]:9"];
  const script = '"$@" -k <(cat "$KEY")';
  const command = startDetached(t, ["bash", "-c", script, "bash", ...args], {
    stdin: "ignore",
    env: { KEY: key.path },
  });
  assert.equal((await command.ownExit()).status, 0, command.stderr);
  const id = readPidFile(`${source}.pid`);
  // Bash's /dev/fd/63.
  assert.ok(!readdirSync(`/proc/${id}/fd`).includes("63"));
  await stopDaemon({ id });
});

test("the daemon reads a key that is written late, and then closes the pipe", options, async (t) => {
  const key = await newKey(t);
  const target = await Listener.listen(t, "unix");
  const source = join(await temporaryFolder(t), "socket");
  const flags = ["-d", "-s", source, "-t", target.address.kind === "unix" ? target.address.path : "", ...patience];
  const { command, pipe } = await startWaiting(t, (path) => [...ours.spiped, ...flags, "-k", path]);
  await writeToReader(pipe, key.bytes);
  assert.equal((await command.ownExit()).status, 0, command.stderr);
  const id = readPidFile(`${source}.pid`);
  assert.equal(openForReader(pipe), undefined);
  assert.ok(await isAlive(await establishThrough(t, { kind: "unix", path: source }, target, key)));
  process.kill(id, "SIGHUP");
  await command.line(
    /SIGHUP: cannot read key file .*: it is a pipe, and only a file is read again; keeping the old key/,
  );
  assert.ok(await isAlive(await establishThrough(t, { kind: "unix", path: source }, target, key)));
  await stopDaemon({ id }, "SIGINT");
});
