// Checks of whether an address can be listened on, which leave nothing behind.

import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { once } from "node:events";
import { chmod, lstat, readdir, symlink, writeFile } from "node:fs/promises";
import { connect, createServer, type Server } from "node:net";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import type { SocketAddress } from "#dist/net/address.js";
import { tryToListen } from "#dist/net/bind-trial.js";
import { freePort } from "../../support/addresses.js";
import { afterwards, temporaryFolder } from "../../support/cleanup.js";
import { skipLoudly } from "../../support/environment.js";
import { asNobody } from "../support/unprivileged.js";

const hasUnixSockets = { skip: process.platform === "win32" };

function tcp(port: number, address = "127.0.0.1"): SocketAddress {
  return { kind: "tcp", family: 4, address, port };
}

async function listen(t: TestContext, where: number | string): Promise<Server> {
  const server = createServer(() => assert.fail("a trial makes no connection"));
  const options = typeof where === "number" ? { host: "127.0.0.1", port: where } : { path: where };
  await new Promise<void>((resolve) => server.listen(options, resolve));
  afterwards(t, () => server.close());
  return server;
}

/** Leaves a UNIX socket's file behind, like a server that was killed. */
function leaveSocketBehind(path: string): void {
  const program = `require("node:net").createServer().listen(${JSON.stringify(path)}, () => process.kill(process.pid, 9))`;
  spawnSync(process.execPath, ["-e", program]);
}

test("a free port is reported as free, and stays free", async (t) => {
  const port = await freePort("127.0.0.1");
  for (let round = 0; round < 3; round += 1) assert.deepEqual(await tryToListen(tcp(port)), { kind: "free" });
  await listen(t, port);
  assert.deepEqual(await tryToListen(tcp(port)), { kind: "in-use" });
});

test("an address of another machine is refused with a hint", async () => {
  const trial = await tryToListen(tcp(8_022, "203.0.113.1"));
  assert.equal(trial.kind, "refused");
  assert.match(trial.kind === "refused" ? (trial.error.hint ?? "") : "", /an address of this machine/);
});

test("a UNIX socket is free, in use or stale, and no file is created or removed", hasUnixSockets, async (t) => {
  const folder = await temporaryFolder(t);
  const path = join(folder, "socket");
  assert.deepEqual(await tryToListen({ kind: "unix", path }), { kind: "free" });
  assert.deepEqual(await readdir(folder), []);
  const server = await listen(t, path);
  assert.deepEqual(await tryToListen({ kind: "unix", path }), { kind: "in-use" });
  // By another name of its folder, too.
  await symlink(folder, join(folder, "again"));
  assert.deepEqual(await tryToListen({ kind: "unix", path: join(folder, "again", "socket") }), { kind: "in-use" });
  // Node removes the file when it closes a server, but not when the process is killed.
  await new Promise((resolve) => server.close(resolve));
  leaveSocketBehind(path);
  assert.deepEqual(await tryToListen({ kind: "unix", path }), { kind: "stale" });
  assert.ok((await lstat(path)).isSocket());
});

test("an open connection does not make a stale UNIX socket count as in use", hasUnixSockets, async (t) => {
  const path = join(await temporaryFolder(t), "socket");
  const server = await listen(t, path);
  server.removeAllListeners("connection");
  const accepted = once(server, "connection");
  const client = connect(path);
  afterwards(t, () => client.destroy());
  await accepted;
  // Its file goes as well.
  server.close();
  leaveSocketBehind(path);
  assert.deepEqual(await tryToListen({ kind: "unix", path }), { kind: "stale" });
});

test("a regular file and a missing folder are refused", hasUnixSockets, async (t) => {
  const folder = await temporaryFolder(t);
  const path = join(folder, "file");
  await writeFile(path, "");
  for (const [where, words] of [
    [path, /a file is there/],
    [join(folder, "none", "socket"), /there is no such folder/],
  ] as const) {
    const trial = await tryToListen({ kind: "unix", path: where });
    assert.match(trial.kind === "refused" ? trial.error.message : "", words);
  }
});

const asRoot = { skip: process.getuid?.() !== 0 && skipLoudly("needs root, to make a socket of another user") };

test("a stale UNIX socket of another user is refused in a sticky folder, and replaced elsewhere", asRoot, async (t) => {
  const folder = await temporaryFolder(t);
  const path = join(folder, "socket");
  leaveSocketBehind(path);
  await chmod(path, 0o777);
  for (const [mode, kind] of [
    [0o1777, "refused"],
    [0o777, "stale"],
  ] as const) {
    await chmod(folder, mode);
    await asNobody(async () => {
      const trial = await tryToListen({ kind: "unix", path });
      assert.equal(trial.kind, kind);
      if (trial.kind === "refused")
        assert.match(trial.error.message, /: only its owner may remove the stale socket there$/);
    });
  }
});
