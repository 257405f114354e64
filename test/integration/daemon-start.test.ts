// Starts of the daemon that fail, where the first process tells the reason and returns 1; and -D, which waits for names.

import assert from "node:assert/strict";
import { access, readdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { limits, temporaryFolder } from "../support/cleanup.js";
import type { Command } from "../support/command.js";
import { establishThrough, onLinux, readPidFile, startDetached, stopDaemon } from "../support/daemon.js";
import { Listener } from "../support/listener.js";
import { Names, withNames } from "../support/names.js";
import { isAlive } from "../support/one-end.js";
import { ours } from "../support/programs.js";
import { type Key, newKey, patience } from "../support/tunnel.js";

const options = { ...limits, skip: onLinux };

/** What is right, for a start with one thing wrong. */
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

/** Starts a daemon that must fail: nothing runs or lies about afterwards. @returns The line that tells why. */
async function failsToStart(t: TestContext, { folder }: Start, flags: readonly string[]): Promise<string> {
  const before = await readdir(folder);
  const command = startDetached(t, [...ours.spiped, ...flags], { stdin: "ignore", cwd: folder });
  // That also waits for whoever else holds its standard error.
  assert.equal((await command.exit()).status, 1, command.stderr);
  const [line = "", ...others] = command.lines;
  assert.match(line, /^spiped: /);
  for (const other of others) assert.match(other, /^hint: /);
  assert.deepEqual(await readdir(folder), before);
  return line;
}

for (const more of [[], ["-D"]]) {
  const how = more.length === 0 ? "" : " with -D";

  test(`returns 1 and tells of a key file that is not there${how}`, options, async (t) => {
    const start = await rightStart(t);
    const flags = [...start.flags.slice(0, -1), join(start.folder, "no-key"), ...more];
    assert.match(await failsToStart(t, start, flags), /cannot read key file .*no-key/);
  });

  test(`returns 1 and tells of a pid file that cannot be written${how}`, options, async (t) => {
    const start = await rightStart(t);
    const line = await failsToStart(t, start, [...start.flags, "-p", join(start.folder, "none/pid"), ...more]);
    assert.match(line, /cannot write pid file .*none\/pid/);
  });

  test(`returns 1 and tells of a user that does not exist${how}`, options, async (t) => {
    const start = await rightStart(t);
    const line = await failsToStart(t, start, [...start.flags, "-u", "no-such-user", ...more]);
    assert.match(line, /there is no user "no-such-user"/);
  });

  test(`returns 1 and tells of an address without a port${how}`, options, async (t) => {
    const start = await rightStart(t);
    const flags = [...start.flags.slice(0, 3), "-t", "localhost", ...start.flags.slice(5), ...more];
    assert.match(await failsToStart(t, start, flags), /bad address "localhost": the port is missing/);
  });
}

test("returns 1 and tells of a source in use, whose pid file stays as it is", options, async (t) => {
  const start = await rightStart(t);
  await Listener.listenAt(t, { kind: "unix", path: start.source });
  await writeFile(`${start.source}.pid`, "12345");
  assert.match(await failsToStart(t, start, start.flags), /cannot listen on .*socket: .*in use/);
});

test("returns 1 and tells of a target that has no address", options, async (t) => {
  const start = await rightStart(t);
  const flags = [...start.flags.slice(0, 3), "-t", "[127.0.0.1]:no-such-service", ...start.flags.slice(5)];
  assert.match(await failsToStart(t, start, flags), /cannot look up .*no-such-service/);
});

/** A daemon with -D whose target is the service of a name that is not known yet. */
async function startWaiting(
  t: TestContext,
  target: string,
  env: Readonly<Record<string, string>> = {},
): Promise<{ start: Start; command: Command; id: number }> {
  const start = await rightStart(t);
  const flags = ["-D", ...start.flags.slice(0, 3), "-t", target, ...start.flags.slice(5), ...patience];
  const command = startDetached(t, [...ours.spiped, ...flags], { stdin: "ignore", cwd: start.folder, env });
  assert.equal((await command.ownExit()).status, 0, command.stderr);
  await command.line(/cannot look up .*; trying again each second/);
  return { start, command, id: readPidFile(`${start.source}.pid`) };
}

for (const signal of ["SIGTERM", "SIGINT"] as const) {
  test(`ends on ${signal} while it waits for a name with -D, and removes its pid file`, options, async (t) => {
    const { start, id } = await startWaiting(t, "[127.0.0.1]:no-such-service");
    await stopDaemon({ id }, signal);
    assert.deepEqual(await readdir(start.folder), []);
  });
}

withNames(() => {
  test("with -D returns 0 before a name is known, survives SIGHUP, and serves once it is", options, async (t) => {
    const names = await Names.create(t);
    const target = await Listener.listen(t, "tcp");
    const { start, command, id } = await startWaiting(t, `later.example:${portOf(target)}`, names.env);
    await assert.rejects(access(start.source));
    await writeFile(start.key.path, "another key");
    process.kill(id, "SIGHUP");
    names.set("later.example", "127.0.0.1");
    await command.line(/listening on/);
    assert.equal(command.lines.filter((line) => line.includes("cannot look up")).length, 1);
    const source = { kind: "unix", path: start.source } as const;
    const key = { ...start.key, bytes: Buffer.from("another key") };
    assert.ok(await isAlive(await establishThrough(t, source, target, key)));
    await stopDaemon({ id }, "SIGINT");
    assert.deepEqual(await readdir(start.folder), []);
  });
});

function portOf({ address }: Listener): number {
  assert.equal(address.kind, "tcp");
  return address.kind === "tcp" ? address.port : 0;
}
