// Listening UNIX sockets: what may already be at the path, permissions, and when the socket is removed.

import assert from "node:assert/strict";
import { chmod, lstat, mkdir, readdir, rename, rm, symlink, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { type Address, textOf } from "../support/addresses.js";
import { limits, temporaryFolder } from "../support/cleanup.js";
import { Command } from "../support/command.js";
import { establishThrough } from "../support/daemon.js";
import { deafAddress } from "../support/deaf-listener.js";
import { Listener } from "../support/listener.js";
import { isAlive } from "../support/one-end.js";
import { ours } from "../support/programs.js";
import { type Key, newKey, patience } from "../support/tunnel.js";

/** spiped -d with its socket in a new folder. */
interface Place {
  readonly folder: string;
  readonly source: Address & { readonly kind: "unix" };
  readonly target: Listener;
  readonly key: Key;
  start(flags?: readonly string[]): Command;
  startAndListen(flags?: readonly string[]): Promise<Command>;
}

async function newPlace(t: TestContext): Promise<Place> {
  const folder = await temporaryFolder(t);
  const source = { kind: "unix", path: join(folder, "socket") } as const;
  const target = await Listener.listen(t, "unix");
  const key = await newKey(t);
  const addresses = ["-s", source.path, "-t", textOf(target.address)];
  const start = (flags: readonly string[] = []): Command => {
    const args = ["-F", "-d", ...addresses, "-k", key.path, ...patience, ...flags];
    return Command.start(t, [...ours.spiped, ...args], { stdin: "ignore" });
  };
  const startAndListen = async (flags?: readonly string[]): Promise<Command> => {
    const command = start(flags);
    await command.line(/listening on/);
    return command;
  };
  return { folder, source, target, key, start, startAndListen };
}

async function stop(command: Command): Promise<void> {
  command.signal("SIGINT");
  await command.exit();
}

test("replaces the stale socket of a killed spiped, and removes it at exit", limits, async (t) => {
  const { folder, source, target, key, startAndListen } = await newPlace(t);
  await (await startAndListen()).kill();
  assert.ok((await lstat(source.path)).isSocket());
  const command = await startAndListen();
  assert.ok(await isAlive(await establishThrough(t, source, target, key)));
  await stop(command);
  assert.deepEqual(await readdir(folder), []);
});

test("neither replaces nor removes a socket that another process listens on", limits, async (t) => {
  const { source, target, key, start, startAndListen } = await newPlace(t);
  await startAndListen();
  const second = start();
  assert.equal((await second.exit()).status, 1);
  assert.match(second.lines[0] ?? "", /^spiped: cannot listen on .*socket: .*in use/);
  assert.ok(await isAlive(await establishThrough(t, source, target, key)));
});

test("does not replace a socket whose listener is too busy to accept", limits, async (t) => {
  const { source, start } = await newPlace(t);
  await deafAddress(t, source.path);
  const command = start();
  assert.equal((await command.exit()).status, 1);
  assert.match(command.lines[0] ?? "", /^spiped: cannot listen on .*socket: .*in use/);
  assert.ok((await lstat(source.path)).isSocket());
});

for (const [what, lay] of [
  ["a regular file", (path: string) => writeFile(path, "precious")],
  ["an empty file", (path: string) => writeFile(path, "")],
  ["a folder", (path: string) => mkdir(path)],
  ["a dangling link", (path: string) => symlink("nowhere", path)],
] as const) {
  test(`refuses to listen where ${what} exists, and leaves it there`, limits, async (t) => {
    const { folder, source, start } = await newPlace(t);
    await lay(source.path);
    const before = await lstat(source.path);
    const command = start();
    assert.equal((await command.exit()).status, 1);
    assert.match(command.lines[0] ?? "", /^spiped: cannot listen on .*socket: /);
    const after = await lstat(source.path);
    assert.deepEqual([after.ino, after.mode, after.size], [before.ino, before.mode, before.size]);
    assert.deepEqual(await readdir(folder), ["socket"]);
  });
}

test("does not remove a socket that another process has put in place of its own", limits, async (t) => {
  const { source, startAndListen } = await newPlace(t);
  const command = await startAndListen();
  // So that the system may give the new file the inode of the old one.
  await rm(source.path);
  const successor = await Listener.listenAt(t, source);
  await stop(command);
  assert.ok((await lstat(source.path)).isSocket());
  assert.equal(command.lines.length, 2, command.stderr);
  successor.close();
});

test("logs nothing when its socket is already gone at exit", limits, async (t) => {
  const { folder, source, startAndListen } = await newPlace(t);
  const command = await startAndListen();
  await rename(source.path, join(folder, "elsewhere"));
  await stop(command);
  assert.equal(command.lines.length, 2, command.stderr);
  assert.deepEqual(await readdir(folder), ["elsewhere"]);
});

test("removes its socket even if its permissions were changed", limits, async (t) => {
  const { folder, source, startAndListen } = await newPlace(t);
  const command = await startAndListen();
  await chmod(source.path, 0o777);
  await stop(command);
  assert.deepEqual(await readdir(folder), []);
});

for (const mode of [0o600, 0o660, 0o777, 0o000]) {
  const text = mode.toString(8).padStart(4, "0");
  test(`--source-mode ${text} gives the socket these permissions whatever the umask`, limits, async (t) => {
    const { source, startAndListen } = await newPlace(t);
    await startAndListen(["--source-mode", text]);
    assert.equal((await lstat(source.path)).mode & 0o7777, mode);
  });
}

test("without --source-mode the umask decides", limits, async (t) => {
  const { folder, source, target, key } = await newPlace(t);
  for (const [umask, mode] of [
    ["022", 0o755],
    ["077", 0o700],
  ] as const) {
    const flags = ["-F", "-d", "-s", source.path, "-t", textOf(target.address), "-k", key.path];
    const args = ["sh", "-c", `umask ${umask} && exec "$@"`, "sh", ...ours.spiped, ...flags] as const;
    const command = Command.start(t, args, { stdin: "ignore" });
    await command.line(/listening on/);
    assert.equal((await lstat(source.path)).mode & 0o777, mode);
    await stop(command);
    assert.deepEqual(await readdir(folder), []);
  }
});

for (const mode of ["8", "0x1ff", "rw-rw----", "77777", "-1", "0 "]) {
  test(`--source-mode refuses ${JSON.stringify(mode)}`, limits, async (t) => {
    const { start } = await newPlace(t);
    const command = start(["--source-mode", mode]);
    assert.equal((await command.exit()).status, 1);
    assert.match(command.lines[0] ?? "", /^spiped: bad permissions for --source-mode: /);
    assert.ok(command.lines[0]?.endsWith(JSON.stringify(mode)));
  });
}
