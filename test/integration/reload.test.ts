// SIGHUP: the key file is reloaded for new connections; nothing else changes, and no failure stops spiped.

import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { mkdir, rename, rm, symlink, truncate, writeFile } from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import { test } from "node:test";
import { promisify } from "node:util";
import { freeAddress, textOf } from "../support/addresses.js";
import { limits } from "../support/cleanup.js";
import { Command } from "../support/command.js";
import { establishThrough, onLinux, startDaemonEnd } from "../support/daemon.js";
import { deafListener } from "../support/deaf-listener.js";
import { Listener } from "../support/listener.js";
import { isAlive, startClientEnd, startServerEnd } from "../support/one-end.js";
import { ours } from "../support/programs.js";
import { randomData } from "../support/random-data.js";
import { TestSocket } from "../support/test-socket.js";
import { newKey, patience, startSpiped } from "../support/tunnel.js";

const otherKeys = [randomData("the second key", 32), randomData("the third key", 100_000)] as const;

for (const start of [startServerEnd, startClientEnd]) {
  const name = start === startServerEnd ? "spiped -d" : "spiped -e";

  test(`${name} uses another key for new connections after SIGHUP, and old connections continue`, limits, async (t) => {
    const end = await start(t, { kind: "tcp" });
    const { command } = end.spiped;
    const old = await end.establish();
    let keyFile: Uint8Array = end.key.bytes;
    for (const [index, nextKeyFile] of otherKeys.entries()) {
      await writeFile(end.key.path, nextKeyFile);
      // Not before SIGHUP.
      assert.ok(await isAlive(await end.establish({ keyFile })));
      command.signal("SIGHUP");
      await command.line(/SIGHUP: reloaded key file .*key; new connections use it/, index + 1);
      keyFile = nextKeyFile;
      assert.ok(await isAlive(await end.establish({ keyFile })));
      assert.ok(await isAlive(old));
    }
  });

  test(
    `${name} keeps its key when SIGHUP finds a bad key file, logs that once, and loads the next`,
    limits,
    async (t) => {
      const end = await start(t, { kind: "tcp" });
      const { command } = end.spiped;
      await rm(end.key.path);
      command.signal("SIGHUP");
      await command.line(/SIGHUP: cannot read key file .*key: there is no such file; keeping the old key/);
      assert.ok(await isAlive(await end.establish()));
      await mkdir(end.key.path);
      command.signal("SIGHUP");
      await command.line(/SIGHUP: cannot read key file .*key: it is a folder; keeping the old key/);
      assert.ok(await isAlive(await end.establish()));
      assert.equal(command.lines.length, 3, command.stderr);
      await rm(end.key.path, { recursive: true });
      await writeFile(end.key.path, otherKeys[0], { mode: 0o600 });
      command.signal("SIGHUP");
      await command.line(/SIGHUP: reloaded/);
      assert.ok(await isAlive(await end.establish({ keyFile: otherKeys[0] })));
    },
  );
}

test(
  "spiped keeps its key when SIGHUP finds an empty file, a pipe or a device, and nothing blocks",
  limits,
  async (t) => {
    const end = await startServerEnd(t, { kind: "tcp" });
    const { command } = end.spiped;
    const old = await end.establish();
    const { path } = end.key;
    for (const [become, line] of [
      [() => writeFile(path, ""), /SIGHUP: cannot read key file .*: it is empty, so everybody knows this key; keeping/],
      [
        () => promisify(execFile)("mkfifo", [path]),
        /SIGHUP: cannot read key file .*: it is a pipe, and only a file is/,
      ],
      [
        () => symlink("/dev/zero", path),
        /SIGHUP: cannot read key file .*: it is a device, and only a file is read again; /,
      ],
      [
        () => symlink("/dev/stdin", path),
        /SIGHUP: the key came from descriptor .*key and cannot be read again; keeping/,
      ],
      [() => truncate(path, 65 * 1_024 * 1_024), /SIGHUP: cannot read key file .*: it is longer than 64 MiB; keeping/],
    ] as const) {
      await rm(path);
      if (line.source.includes("MiB")) await writeFile(path, "x", { mode: 0o600 });
      await become();
      command.signal("SIGHUP");
      await command.line(line);
      assert.ok(await isAlive(old));
      assert.ok(await isAlive(await end.establish()));
    }
    const stranger = await end.client({ keyFile: new Uint8Array(0) });
    await assert.rejects(stranger.handshake());
    assert.equal(command.lines.filter((line) => line.includes("SIGHUP")).length, 5, command.stderr);
  },
);

test(
  "spiped reads a key through symlinks as Kubernetes makes them, and follows them when they change",
  limits,
  async (t) => {
    const key = await newKey(t);
    const folder = dirname(key.path);
    for (const [name, bytes] of [
      ["..one", key.bytes],
      ["..two", otherKeys[0]],
    ] as const) {
      await mkdir(join(folder, name));
      await writeFile(join(folder, name, "key"), bytes, { mode: 0o600 });
    }
    await rm(key.path);
    await symlink("..one", join(folder, "..data"));
    await symlink("..data/key", key.path);
    const target = await Listener.listen(t, "unix");
    const { command, source } = await startSpiped(t, { end: "-d", source: "unix", target: target.address, key });
    await symlink("..two", join(folder, "..data_tmp"));
    await rename(join(folder, "..data_tmp"), join(folder, "..data"));
    command.signal("SIGHUP");
    await command.line(/SIGHUP: reloaded/);
    assert.ok(await isAlive(await establishThrough(t, source, target, { ...key, bytes: otherKeys[0] })));
  },
);

test("spiped -d finishes a handshake with the key it began with, also after SIGHUP", limits, async (t) => {
  const end = await startServerEnd(t, { kind: "tcp" });
  const silent = await end.client();
  const known = await end.client();
  await known.sendNonce();
  // Its nonces have arrived: both handshakes have begun.
  await known.readNonce();
  await silent.readNonce();
  await writeFile(end.key.path, otherKeys[0]);
  end.spiped.command.signal("SIGHUP");
  await end.spiped.command.line(/SIGHUP: reloaded/);
  await known.write(known.macedPublicValue());
  await known.readPublicValue();
  assert.ok(await isAlive({ peer: known, plain: await end.target.next() }));
  await silent.sendNonce();
  await silent.write(silent.macedPublicValue());
  await silent.readPublicValue();
  assert.ok(await isAlive({ peer: silent, plain: await end.target.next() }));
});

test("spiped -e begins its handshake after a SIGHUP while dialing", limits, async (t) => {
  const key = await newKey(t);
  const deaf = await deafListener(t);
  const flags = patience;
  const { command, source } = await startSpiped(t, { end: "-e", source: "tcp", target: deaf.address, key, flags });
  await TestSocket.connect(t, source);
  await writeFile(key.path, otherKeys[0]);
  command.signal("SIGHUP");
  await command.line(/SIGHUP: reloaded/);
  deaf.wake();
  // The nonce.
  await deaf.command.line(/^received 32$/);
  assert.equal(command.lines.length, 2, command.stderr);
});

test("the daemon reloads its key by a relative path on SIGHUP", { ...limits, skip: onLinux }, async (t) => {
  const { path } = await newKey(t);
  const daemon = await startDaemonEnd(t, { cwd: dirname(path), key: { path: basename(path) } });
  await writeFile(path, otherKeys[0]);
  process.kill(daemon.id, "SIGHUP");
  await daemon.command.line(/SIGHUP: reloaded/);
  const key = { path, bytes: otherKeys[0] };
  assert.ok(await isAlive(await establishThrough(t, daemon.source, daemon.target, key)));
});

test("SIGHUP with -k - is logged, and the old key is kept", limits, async (t) => {
  const key = await newKey(t);
  const target = await Listener.listen(t, "unix");
  const source = await freeAddress(t, "unix");
  const args = ["-F", "-d", "-s", textOf(source), "-t", textOf(target.address), "-k", "-", ...patience];
  const command = Command.start(t, [...ours.spiped, ...args], { stdin: "pipe" });
  command.stdin.end(key.bytes);
  await command.line(/listening on/);
  command.signal("SIGHUP");
  await command.line(/SIGHUP: the key came from standard input and cannot be read again; keeping the old key/);
  assert.ok(await isAlive(await establishThrough(t, source, target, key)));
  assert.equal(command.lines.length, 2, command.stderr);
});
