// spiped without -F: what holds when the first process has returned 0, and what the daemon keeps of its start.

import assert from "node:assert/strict";
import { access, realpath, symlink } from "node:fs/promises";
import { delimiter, dirname, join } from "node:path";
import { test } from "node:test";
import { freeAddress, textOf } from "../support/addresses.js";
import { limits, temporaryFolder } from "../support/cleanup.js";
import {
  annoy,
  establishThrough,
  onLinux,
  readPidFile,
  startDaemonEnd,
  startDetached,
  stopDaemon,
} from "../support/daemon.js";
import { kindsHere } from "../support/environment.js";
import { Listener } from "../support/listener.js";
import { isAlive } from "../support/one-end.js";
import { argsOf, linkOf, stateOf } from "../support/processes.js";
import { ours, root } from "../support/programs.js";
import { newKey, patience } from "../support/tunnel.js";

const options = { ...limits, skip: onLinux };

for (const source of kindsHere("tcp", "tcp6", "unix")) {
  test(`accepts on ${source} and has its pid file when the first process exits 0`, options, async (t) => {
    // The pid file is read, and a connection made, without waiting for either.
    const daemon = await startDaemonEnd(t, { source });
    assert.ok(await isAlive(await daemon.establish()));
    assert.notEqual(daemon.id, daemon.command.id);
  });
}

test("runs in its own session without a terminal, and not as a child of the first process", options, async (t) => {
  const { id, command } = await startDaemonEnd(t);
  const state = stateOf(id);
  assert.equal(state?.session, id);
  assert.equal(state?.group, id);
  assert.equal(state?.terminal, 0);
  assert.notEqual(state?.parent, command.id);
  assert.equal(stateOf(command.id), undefined);
});

test("keeps its working directory, and writes the pid file SOURCE.pid there", options, async (t) => {
  const cwd = await realpath(await temporaryFolder(t));
  const daemon = await startDaemonEnd(t, { source: "tcp", cwd });
  assert.equal(daemon.pidFile, join(cwd, `${textOf(daemon.source)}.pid`));
  assert.equal(linkOf(daemon.id, "cwd") ?? cwd, cwd);
});

test("shows its name and its arguments in order in ps, and nothing else", options, async (t) => {
  const folder = await temporaryFolder(t);
  const link = join(folder, "spiped");
  await symlink(join(root, "bin/spiped.js"), link);
  const key = await newKey(t);
  const target = await Listener.listen(t, "unix");
  const source = await freeAddress(t, "unix");
  const flags = ["-d", "-s", textOf(source), "-t", textOf(target.address), "-k", key.path, ...patience, "-gjn5"];
  // The symlink runs through its #! line, with the Node.js that runs the test.
  const env = { PATH: [dirname(process.execPath), process.env["PATH"] ?? ""].join(delimiter) };
  const command = startDetached(t, [link, ...flags], { stdin: "ignore", env });
  assert.equal((await command.ownExit()).status, 0, command.stderr);
  const [node, ...args] = argsOf(readPidFile(`${textOf(source)}.pid`));
  assert.equal(node, "node");
  assert.deepEqual(args, [link, ...flags]);
  assert.ok(await isAlive(await establishThrough(t, source, target, key)));
});

test("reads its key from standard input to the end with -k -, and closes it", options, async (t) => {
  const key = await newKey(t, Buffer.from("a key in two pieces"));
  const target = await Listener.listen(t, "unix");
  const source = await freeAddress(t, "unix");
  const flags = ["-d", "-s", textOf(source), "-t", textOf(target.address), "-k", "-", ...patience];
  const command = startDetached(t, [...ours.spiped, ...flags], { stdin: "pipe" });
  command.stdin.write("a key in ");
  command.stdin.end("two pieces");
  assert.equal((await command.ownExit()).status, 0, command.stderr);
  const id = readPidFile(`${textOf(source)}.pid`);
  assert.equal(linkOf(id, "fd/0") ?? "/dev/null", "/dev/null");
  assert.ok(await isAlive(await establishThrough(t, source, target, key)));
});

test("redirects its standard input from /dev/null without -k -", options, async (t) => {
  const { id } = await startDaemonEnd(t, { stdin: "pipe" });
  assert.equal(linkOf(id, "fd/0") ?? "/dev/null", "/dev/null");
});

test("logs connections to the standard error it was started with", options, async (t) => {
  const { command, source } = await startDaemonEnd(t);
  await annoy(t, source);
  assert.match(await command.line(/connection from/), /^spiped: connection from .*handshake failed/);
});

for (const signal of ["SIGTERM", "SIGINT"] as const) {
  test(`removes its pid file and its UNIX socket when ${signal} stops it`, options, async (t) => {
    const daemon = await startDaemonEnd(t);
    await stopDaemon(daemon, signal);
    await assert.rejects(access(daemon.pidFile), { code: "ENOENT" });
    await assert.rejects(access(textOf(daemon.source)), { code: "ENOENT" });
  });
}

test("drains its connections after SIGTERM and keeps its pid file until then", options, async (t) => {
  const daemon = await startDaemonEnd(t);
  const { peer, plain } = await daemon.establish();
  process.kill(daemon.id, "SIGTERM");
  await daemon.command.line(/SIGTERM/);
  assert.ok(await isAlive({ peer, plain }));
  assert.equal(readPidFile(daemon.pidFile), daemon.id);
  peer.link.finish();
  plain.finish();
  await plain.readToEnd();
  // All processes with its standard error have exited.
  await daemon.command.exit();
  await assert.rejects(access(daemon.pidFile), { code: "ENOENT" });
});
