// Daemon starts that fail: the first process logs the reason and exits with 1; and -D, which waits for names.

import assert from "node:assert/strict";
import { closeSync, writeSync } from "node:fs";
import { access, readdir, writeFile } from "node:fs/promises";
import { constants } from "node:os";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { afterwards, limits, temporaryFolder, until } from "../support/cleanup.js";
import type { Command } from "../support/command.js";
import { establishThrough, onLinux, readPidFile, startDetached, stopDaemon } from "../support/daemon.js";
import { Listener } from "../support/listener.js";
import { Names, withNames } from "../support/names.js";
import { isAlive } from "../support/one-end.js";
import { namedPipe, openForReader } from "../support/pipes.js";
import { childrenOf, stop, threadsOf, untilEnded } from "../support/processes.js";
import { ours } from "../support/programs.js";
import { randomData } from "../support/random-data.js";
import { type Key, newKey, patience } from "../support/tunnel.js";

const anotherKey = randomData("another key", 32);

const options = { ...limits, skip: onLinux };

/** Valid arguments, for starts with one mistake. */
interface Start {
  readonly folder: string;
  readonly source: string;
  readonly key: Key;
  readonly flags: readonly string[];
}

async function rightStart(t: TestContext): Promise<Start> {
  const folder = await temporaryFolder(t);
  const key = await newKey(t);
  const source = join(folder, "socket");
  return { folder, source, key, flags: ["-d", "-s", source, "-t", join(folder, "target"), "-k", key.path] };
}

/** Starts a daemon that must fail, leaving no process and no files. @returns The message with the reason. */
async function failsToStart(t: TestContext, { folder }: Start, flags: readonly string[]): Promise<string> {
  const before = await readdir(folder);
  const command = startDetached(t, [...ours.spiped, ...flags], { stdin: "ignore", cwd: folder });
  // This also waits for other processes with its standard error.
  assert.equal((await command.exit()).status, 1, command.stderr);
  const [line = "", ...others] = command.lines;
  assert.match(line, /^spiped: /);
  for (const other of others) assert.match(other, /^(?:spiped|spipe): hint: /);
  assert.deepEqual(await readdir(folder), before);
  return line;
}

for (const more of [[], ["-D"]]) {
  const how = more.length === 0 ? "" : " with -D";

  test(`exits 1 and reports a missing key file${how}`, options, async (t) => {
    const start = await rightStart(t);
    const flags = [...start.flags.slice(0, -1), join(start.folder, "no-key"), ...more];
    assert.match(await failsToStart(t, start, flags), /cannot read key file .*no-key/);
  });

  test(`exits 1 and reports a pid file that cannot be written${how}`, options, async (t) => {
    const start = await rightStart(t);
    const line = await failsToStart(t, start, [...start.flags, "-p", join(start.folder, "none/pid"), ...more]);
    assert.match(line, /cannot write pid file .*none\/pid/);
  });

  test(`exits 1 and reports a user that does not exist${how}`, options, async (t) => {
    const start = await rightStart(t);
    const line = await failsToStart(t, start, [...start.flags, "-u", "no-such-user", ...more]);
    assert.match(line, /there is no user "no-such-user"/);
  });

  test(`exits 1 and reports an address without a port${how}`, options, async (t) => {
    const start = await rightStart(t);
    const flags = [...start.flags.slice(0, 3), "-t", "localhost", ...start.flags.slice(5), ...more];
    assert.match(await failsToStart(t, start, flags), /bad address for -t: "localhost": the port is missing/);
  });
}

test("exits 1 and reports a source in use, whose pid file is unchanged", options, async (t) => {
  const start = await rightStart(t);
  await Listener.listenAt(t, { kind: "unix", path: start.source });
  await writeFile(`${start.source}.pid`, "12345");
  assert.match(await failsToStart(t, start, start.flags), /cannot listen on .*socket: .*in use/);
});

test("exits 1 and reports a target that cannot be resolved", options, async (t) => {
  const start = await rightStart(t);
  const flags = [...start.flags.slice(0, 3), "-t", "[127.0.0.1]:no-such-service", ...start.flags.slice(5)];
  assert.match(await failsToStart(t, start, flags), /cannot resolve .*no-such-service/);
});

/** A daemon that reads its key from a named pipe, so the test decides when it is ready. */
interface Unready {
  readonly start: Start;
  readonly command: Command;
  readonly id: number;
  /** Writes the key. */
  letBeReady(): void;
}

async function startUnready(t: TestContext): Promise<Unready> {
  const start = await rightStart(t);
  const pipe = await namedPipe(t);
  const command = startDetached(t, [...ours.spiped, ...start.flags.slice(0, -1), pipe]);
  // The reader waits for the end until this is closed.
  const writer = await until(() => openForReader(pipe), "the first process to open the key");
  const end = once(() => closeSync(writer));
  afterwards(t, end);
  const letBeReady = () => {
    writeSync(writer, anotherKey);
    end();
  };
  // Until its exec, after which it has threads, the first process is blocked in the system; and an unhandled signal kills
  // it, even if it is stopped.
  const runs = (child: number) => threadsOf(child).length > 1 && hasSignal(child, "SigCgt", SIGTERM) === true;
  const id = await until(() => childrenOf(command.id).find(runs), "the second process");
  return { start, command, id, letBeReady };
}

function once(action: () => void): () => void {
  let isDone = false;
  return () => {
    if (!isDone) action();
    isDone = true;
  };
}

for (const signal of ["SIGINT", "SIGTERM"] as const) {
  test(`${signal} to the first process also stops a daemon that is not ready`, options, async (t) => {
    const { start, command, id } = await startUnready(t);
    command.signal(signal);
    assert.equal((await command.exit()).status, 1);
    assert.equal(command.lines[0], `spiped: cannot start the daemon: ${signal} came before it was ready`);
    await untilEnded(id);
    assert.deepEqual(await readdir(start.folder), []);
  });
}

test("a daemon that is not ready is asked to exit, so that it removes its files", options, async (t) => {
  for (let attempt = 1; ; attempt += 1) {
    const { command, id } = await startUnready(t);
    await stop(id);
    command.signal("SIGTERM");
    const look = () => {
      const isAsked = hasSignal(id, "ShdPnd", SIGTERM);
      if (isAsked === undefined) return "gone";
      return isAsked ? "asked" : undefined;
    };
    const seen = await until(look, "SIGTERM to the second process");
    if (seen === "asked") process.kill(id, "SIGCONT");
    assert.equal((await command.exit()).status, 1);
    await untilEnded(id);
    // On a very busy machine it does not exit within 2 s, and is killed.
    if (seen === "asked" || attempt === 5) {
      assert.equal(seen, "asked");
      return;
    }
  }
});

test("a daemon that is not ready and does not exit when asked is killed", options, async (t) => {
  const { command, id } = await startUnready(t);
  await stop(id);
  command.signal("SIGTERM");
  assert.equal((await command.exit()).status, 1);
  await untilEnded(id);
});

const { SIGTERM } = constants.signals;

/**
 * Whether a signal is pending for a stopped process (`ShdPnd`), or has a handler (`SigCgt`); undefined if the process has
 * exited.
 */
function hasSignal(id: number, set: "ShdPnd" | "SigCgt", signal: number): boolean | undefined {
  const mask = threadsOf(id)[0]?.get(set);
  return mask === undefined ? undefined : (BigInt(`0x${mask}`) >> BigInt(signal - 1)) % 2n === 1n;
}

test(
  "a daemon that loses its first process before it is ready exits, and leaves nothing behind",
  options,
  async (t) => {
    const { start, command, id, letBeReady } = await startUnready(t);
    command.signal("SIGKILL");
    await command.ownExit();
    letBeReady();
    await untilEnded(id);
    await command.exit();
    assert.match(command.stderr, /^spiped: the process that started the daemon is gone$/m);
    assert.deepEqual(await readdir(start.folder), []);
  },
);

test("exits 1 and reports that the daemon was killed before it was ready", options, async (t) => {
  const { command, id } = await startUnready(t);
  process.kill(id, "SIGKILL");
  assert.equal((await command.exit()).status, 1);
  assert.match(command.lines[0] ?? "", /^spiped: cannot start the daemon: it was killed by SIGKILL/);
});

/** A daemon with -D whose target has a service name that is not known yet. */
async function startWaiting(
  t: TestContext,
  target: string,
  env: Readonly<Record<string, string>> = {},
): Promise<{ start: Start; command: Command; id: number }> {
  const start = await rightStart(t);
  const flags = ["-D", ...start.flags.slice(0, 3), "-t", target, ...start.flags.slice(5), ...patience];
  const command = startDetached(t, [...ours.spiped, ...flags], { stdin: "ignore", cwd: start.folder, env });
  assert.equal((await command.ownExit()).status, 0, command.stderr);
  await command.line(/cannot resolve .*; retrying every second/);
  return { start, command, id: readPidFile(`${start.source}.pid`) };
}

for (const signal of ["SIGTERM", "SIGINT"] as const) {
  test(`exits on ${signal} while it waits for a name with -D, and removes its pid file`, options, async (t) => {
    const { start, id } = await startWaiting(t, "[127.0.0.1]:no-such-service");
    await stopDaemon({ id }, signal);
    assert.deepEqual(await readdir(start.folder), []);
  });
}

test("with -D logs a source in use after the first process exits 0, and removes its pid file", options, async (t) => {
  const start = await rightStart(t);
  await Listener.listenAt(t, { kind: "unix", path: start.source });
  const command = startDetached(t, [...ours.spiped, "-D", ...start.flags]);
  assert.equal((await command.ownExit()).status, 0, command.stderr);
  await command.exit();
  assert.match(command.lines[0] ?? "", /^spiped: cannot listen on .*socket: .*in use/);
  assert.deepEqual(await readdir(start.folder), ["socket"]);
});

withNames(() => {
  test("with -D exits 0 before a name resolves, survives SIGHUP, and serves once it does", options, async (t) => {
    const names = await Names.create(t);
    const target = await Listener.listen(t, "tcp");
    const { start, command, id } = await startWaiting(t, `later.example:${portOf(target)}`, names.env);
    await assert.rejects(access(start.source));
    await writeFile(start.key.path, anotherKey);
    process.kill(id, "SIGHUP");
    names.set("later.example", "127.0.0.1");
    await command.line(/listening on/);
    assert.equal(command.lines.filter((line) => line.includes("cannot resolve")).length, 1);
    await command.line(/SIGHUP: reloaded/);
    const source = { kind: "unix", path: start.source } as const;
    const key = { ...start.key, bytes: anotherKey };
    assert.ok(await isAlive(await establishThrough(t, source, target, key)));
    await stopDaemon({ id }, "SIGINT");
    assert.deepEqual(await readdir(start.folder), []);
  });
});

function portOf({ address }: Listener): number {
  assert.equal(address.kind, "tcp");
  return address.kind === "tcp" ? address.port : 0;
}
