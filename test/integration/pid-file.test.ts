// The pid file: its path, and when it is removed at exit.

import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { chmod, chown, link, mkdir, readdir, readFile, rm, stat, symlink, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { textOf } from "../support/addresses.js";
import { limits, temporaryFolder } from "../support/cleanup.js";
import { Command } from "../support/command.js";
import { onLinux, readPidFile, startDaemonEnd, startDetached, stopDaemon } from "../support/daemon.js";
import { isAlive } from "../support/one-end.js";
import { untilEnded } from "../support/processes.js";
import { ours } from "../support/programs.js";
import { asRoot } from "../support/root.js";
import { newKey, startSpiped } from "../support/tunnel.js";

const options = { ...limits, skip: onLinux };

/** Starts a daemon in `cwd` with the pid file that `-p` names. */
async function startWithPidFile(
  t: TestContext,
  cwd: string,
  pidFile: string,
  more: readonly string[] = [],
): Promise<Command> {
  const key = await newKey(t);
  const flags = ["-e", "-s", join(cwd, "socket"), "-t", join(cwd, "target"), "-k", key.path, "-p", pidFile, ...more];
  const command = startDetached(t, [...ours.spiped, ...flags], { stdin: "ignore", cwd });
  assert.equal((await command.ownExit()).status, 0, command.stderr);
  return command;
}

/** A start that should fail because of the pid file: SOURCE is another one. */
async function tryPidFile(t: TestContext, cwd: string, pidFile: string, more: readonly string[], source?: string) {
  const key = await newKey(t);
  const flags = [
    "-e",
    "-s",
    source ?? `${key.path}.socket`,
    "-t",
    join(cwd, "target"),
    "-k",
    key.path,
    "-p",
    pidFile,
    ...more,
  ];
  const command = startDetached(t, [...ours.spiped, ...flags], { stdin: "ignore", cwd });
  const { status } = await command.ownExit();
  return { status, stderr: command.stderr };
}

test("-p takes a path relative to the working directory, or an absolute one", options, async (t) => {
  for (const name of ["a.pid", "./a.pid", undefined]) {
    const cwd = await temporaryFolder(t);
    const path = join(cwd, "a.pid");
    await startWithPidFile(t, cwd, name ?? path);
    assert.deepEqual((await readdir(cwd)).sort(), ["a.pid", "socket"]);
    const id = readPidFile(path);
    assert.equal((await stat(path)).mode & 0o022, 0, "only its owner may write to it");
    await stopDaemon({ id });
    assert.deepEqual(await readdir(cwd), []);
  }
});

test("replaces a stale pid file", options, async (t) => {
  const cwd = await temporaryFolder(t);
  const path = join(cwd, "a.pid");
  await writeFile(path, "1234567890\n");
  await startWithPidFile(t, cwd, path);
  await stopDaemon({ id: readPidFile(path) });
  assert.deepEqual(await readdir(cwd), []);
});

test("does not remove a pid file with another process ID, and ignores a missing one", options, async (t) => {
  for (const change of ["another", "gone"]) {
    const cwd = await temporaryFolder(t);
    const path = join(cwd, "a.pid");
    const command = await startWithPidFile(t, cwd, path);
    const id = readPidFile(path);
    if (change === "gone") await rm(path);
    else await writeFile(path, `${id}0`);
    await stopDaemon({ id });
    await command.exit();
    assert.equal(command.lines.length, 2, command.stderr);
    assert.deepEqual(await readdir(cwd), change === "gone" ? [] : ["a.pid"]);
    if (change === "another") assert.equal(await readFile(path, "utf8"), `${id}0`);
  }
});

test("does not remove a file that has replaced its pid file", options, async (t) => {
  const cwd = await temporaryFolder(t);
  const path = join(cwd, "a.pid");
  const command = await startWithPidFile(t, cwd, path);
  const id = readPidFile(path);
  await rm(path);
  // The same text in another file.
  await writeFile(path, String(id));
  await stopDaemon({ id });
  await command.exit();
  assert.equal(command.lines.length, 2, command.stderr);
  assert.deepEqual(await readdir(cwd), ["a.pid"]);
});

for (const [what, flags] of [
  ["with -D", ["-D"]],
  ["without -D", []],
] as const) {
  test(`a second start ${what} fails while the first daemon runs, and does not disturb it`, options, async (t) => {
    const cwd = await temporaryFolder(t);
    const path = join(cwd, "a.pid");
    await startWithPidFile(t, cwd, path);
    const id = readPidFile(path);
    const before = await stat(path, { bigint: true });
    const second = await tryPidFile(t, cwd, path, flags);
    assert.equal(second.status, 1);
    assert.match(
      second.stderr,
      new RegExp(`^spiped: already running as pid ${id}, according to .*a\\.pid\nspiped: hint: .*\n$`),
    );
    assert.equal(readPidFile(path), id);
    assert.equal((await stat(path, { bigint: true })).ino, before.ino);
    await stopDaemon({ id });
    assert.deepEqual(await readdir(cwd), []);
  });

  test(`the files of a killed daemon are replaced, ${what}`, options, async (t) => {
    const cwd = await temporaryFolder(t);
    const path = join(cwd, "a.pid");
    await startWithPidFile(t, cwd, path, flags);
    const first = readPidFile(path);
    await stopDaemon({ id: first }, "SIGKILL");
    assert.equal(await readFile(path, "latin1"), String(first));
    await startWithPidFile(t, cwd, path, flags);
    assert.notEqual(readPidFile(path), first);
    await stopDaemon({ id: readPidFile(path) });
  });
}

test("a draining daemon lets the next one start, and does not remove its new pid file", options, async (t) => {
  const first = await startDaemonEnd(t, { source: "tcp" });
  const established = await first.establish();
  process.kill(first.id, "SIGTERM");
  await first.command.line(/shutting down, draining/);
  assert.equal(readPidFile(first.pidFile), first.id);
  const addresses = ["-s", textOf(first.source), "-t", textOf(first.target.address)];
  const flags = ["-d", ...addresses, "-k", first.key.path, "-p", first.pidFile];
  const second = startDetached(t, [...ours.spiped, ...flags]);
  assert.equal((await second.ownExit()).status, 0, second.stderr);
  const id = readPidFile(first.pidFile);
  assert.notEqual(id, first.id);
  assert.ok(await isAlive(established));
  established.plain.finish();
  established.peer.link.finish();
  await untilEnded(first.id);
  assert.equal(readPidFile(first.pidFile), id);
  await stopDaemon({ id });
  await assert.rejects(stat(first.pidFile), { code: "ENOENT" });
});

test("a failed start leaves a stale pid file unchanged, and creates none", options, async (t) => {
  const cwd = await temporaryFolder(t);
  await writeFile(join(cwd, "old.pid"), "1234567890");
  for (const name of ["old.pid", "new.pid"]) {
    const { status, stderr } = await tryPidFile(t, cwd, join(cwd, name), ["--source-mode", "0600"], "/nowhere/socket");
    assert.equal(status, 1);
    assert.match(stderr, /cannot listen/);
  }
  assert.deepEqual(await readdir(cwd), ["old.pid"]);
  assert.equal(await readFile(join(cwd, "old.pid"), "utf8"), "1234567890");
});

test("a program that may only read the pid file cannot keep a daemon from starting", options, async (t) => {
  const cwd = await temporaryFolder(t);
  const path = join(cwd, "a.pid");
  await writeFile(path, "1234567890");
  const hold =
    "import fcntl,struct,sys,time; f = open(sys.argv[1]);" +
    "fcntl.flock(f, fcntl.LOCK_EX); fcntl.fcntl(f, 37, struct.pack('hhqqi4x', fcntl.F_RDLCK, 0, 0, 0, 0));" +
    "print('held', file=sys.stderr, flush=True); time.sleep(600)";
  const reader = Command.start(t, ["python3", "-c", hold, path], { stdin: "ignore" });
  await reader.line(/^held$/);
  await startWithPidFile(t, cwd, path);
  await stopDaemon({ id: readPidFile(path) });
});

for (const [what, lay, said, left] of [
  ["a link", (path: string) => symlink("precious", path), /it is a link/, "precious"],
  ["a link to nothing", (path: string) => symlink("nothing", path), /it is a link/, undefined],
  ["a second name of a file", (path: string) => link(join(path, "../precious"), path), /has a second name/, "7"],
  ["a file with something else in it", (path: string) => writeFile(path, "hello"), /that is no pid file/, "hello"],
  ["a folder", (path: string) => mkdir(path), /it is a folder/, undefined],
  ["a FIFO", (path: string) => spawnSync("mkfifo", [path]), /it is no regular file/, undefined],
] as const) {
  test(`${what} in place of the pid file is reported in one message and not changed`, options, async (t) => {
    const cwd = await temporaryFolder(t);
    const path = join(cwd, "a.pid");
    await writeFile(join(cwd, "precious"), left === "7" ? "7" : "precious", { mode: 0o600 });
    await lay(path);
    for (const flags of [["-D"], []]) {
      const { status, stderr } = await tryPidFile(t, cwd, path, flags);
      assert.equal(status, 1);
      assert.match(stderr, said);
      assert.match(stderr, /^spiped: cannot write pid file [^\n]*\nspiped: hint: [^\n]*\n$/);
    }
    assert.deepEqual((await readdir(cwd)).sort(), ["a.pid", "precious"]);
    assert.equal(await readFile(join(cwd, "precious"), "utf8"), left === "7" ? "7" : "precious");
    if (left !== undefined) assert.equal(await readFile(path, "utf8"), left);
  });
}

test("a device, an unwritable file system and a missing folder are reported in one message", options, async (t) => {
  const cwd = await temporaryFolder(t);
  for (const [path, said] of [
    ["/dev/null", /it is no regular file/],
    ["/proc/a.pid", /cannot write pid file/],
    [join(cwd, "nowhere/a.pid"), /there is no such folder/],
  ] as const) {
    const { status, stderr } = await tryPidFile(t, cwd, path, ["-D"]);
    assert.equal(status, 1);
    assert.match(stderr, said);
    assert.match(stderr, /^spiped: [^\n]*\nspiped: hint: [^\n]*\n$/);
  }
});

test("without -p, a missing folder of SOURCE is not reported as that of the pid file", options, async (t) => {
  const cwd = await temporaryFolder(t);
  const key = await newKey(t);
  const source = join(cwd, "nowhere/s");
  const command = startDetached(t, [...ours.spiped, "-e", "-s", source, "-t", "/nowhere", "-k", key.path], {
    stdin: "ignore",
    cwd,
  });
  assert.equal((await command.ownExit()).status, 1);
  assert.match(
    command.stderr,
    /^spiped: cannot listen on .*nowhere\/s: there is no such folder\nspiped: hint: [^\n]*\n$/,
  );
});

asRoot(["unshare", "mount", "setpriv"], () => {
  test("on a full disk the daemon does not start and leaves no pid file", limits, async (t) => {
    const cwd = await temporaryFolder(t);
    const key = await newKey(t);
    const script =
      'mount -t tmpfs -o size=4k none "$0" && head -c 4096 /dev/zero >"$0/x"; "$@"; s=$?; ls "$0"; exit $s';
    const flags = ["-D", "-e", "-s", join(cwd, "socket"), "-t", "/nowhere", "-k", key.path, "-p", join(cwd, "a.pid")];
    const args = ["unshare", "--mount", "sh", "-c", script, cwd, ...ours.spiped, ...flags] as const;
    const command = startDetached(t, args);
    assert.equal((await command.exit()).status, 1);
    assert.match(command.stderr, /^spiped: cannot write pid file .*: the disk is full\nspiped: hint: .*\n$/);
    assert.equal(command.stdout.toString(), "x\n");
  });

  test("a pid file that belongs to another user is not changed", limits, async (t) => {
    const cwd = await temporaryFolder(t);
    const path = join(cwd, "a.pid");
    await writeFile(path, "1234567890");
    await chown(path, 65_534, 65_534);
    const { status, stderr } = await tryPidFile(t, cwd, path, ["-D"]);
    assert.equal(status, 1);
    assert.match(stderr, /cannot write pid file .*: the file belongs to another user\nspiped: hint: /);
    assert.equal(await readFile(path, "utf8"), "1234567890");
  });

  test("after -u a daemon started as root keeps its pid file locked, and empties it at exit", limits, async (t) => {
    const cwd = await temporaryFolder(t);
    await chmod(cwd, 0o755);
    const path = join(cwd, "a.pid");
    await startWithPidFile(t, cwd, path, ["-u", "nobody"]);
    const id = readPidFile(path);
    const second = await tryPidFile(t, cwd, path, ["-D"]);
    assert.match(second.stderr, new RegExp(`already running as pid ${id}`));
    await stopDaemon({ id });
    assert.equal(await readFile(path, "utf8"), "");
  });
});

test("-F writes no pid file, not even with -p", limits, async (t) => {
  const cwd = await temporaryFolder(t);
  const path = join(cwd, "a.pid");
  const key = await newKey(t);
  const target = { kind: "unix", path: join(cwd, "target") } as const;
  const { source } = await startSpiped(t, { end: "-e", source: "unix", target, key, flags: ["-p", path] });
  assert.deepEqual(await readdir(cwd), []);
  await assert.rejects(stat(`${textOf(source)}.pid`), { code: "ENOENT" });
});
