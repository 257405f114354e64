// A full disk under the pid file, the log, the configuration and the key folder; a full pipe as the log. The disk is a
// small tmpfs, mounted in a mount namespace of the scenario's own.

import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { randomBytes } from "node:crypto";
import {
  closeSync,
  copyFileSync,
  existsSync,
  mkdirSync,
  openSync,
  readFileSync,
  rmSync,
  unlinkSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { dial, Service, visit } from "../../support/exact-traffic.mjs";
import { freePort } from "../../support/processes.mjs";
import { Lacking, scenario, until } from "../../support/scenarios.mjs";
import { argsOf, newKey, PROGRAMS, Running, startEnd } from "../../support/tunnel-ends.mjs";

const DISK_BYTES = 64 * 1_024;

/** Makes a small disk. @returns Its folder, mounted only inside its namespace, and the command that enters it. */
function smallDisk(trial) {
  const folder = join(trial.folder(), "disk");
  mkdirSync(folder);
  const holder = new Running(trial, [
    "unshare",
    "--mount",
    "--propagation",
    "private",
    "sh",
    "-c",
    'mount -t tmpfs -o size="$1" none "$0" && echo mounted >&2 && exec sleep infinity',
    folder,
    String(DISK_BYTES),
  ]);
  return until(() => holder.log.includes("mounted") || (holder.isGone && "gone"), "the disk").then((what) => {
    if (what === "gone") throw new Lacking(`cannot mount a disk: ${holder.log}`);
    // The disk as seen from outside the namespace.
    const seen = `/proc/${holder.pid}/root${folder}`;
    const within = ["nsenter", `--target=${holder.pid}`, "--mount", "--"];
    const full = join(seen, "full");
    return {
      folder,
      seen,
      within,
      fill() {
        const file = openSync(full, "w");
        closeSync(file);
        spawnSync("dd", ["if=/dev/zero", `of=${full}`, "bs=1024"], { stdio: "ignore" });
        spawnSync("dd", ["if=/dev/zero", `of=${full}`, "bs=1", "oflag=append", "conv=notrunc"], { stdio: "ignore" });
      },
      free: () => unlinkSync(full),
    };
  });
}

for (const program of PROGRAMS) {
  if (program === "pumps") continue;
  scenario(`disk/full under the pid file ${program}`, async (trial) => {
    const disk = await smallDisk(trial);
    const [key, port] = [newKey(trial), await freePort()];
    const pidFile = join(disk.folder, "spiped.pid");
    const args = [
      ...argsOf(program === "C" ? "C" : "relay"),
      "-d",
      "-s",
      `[127.0.0.1]:${port}`,
      "-t",
      "[127.0.0.1]:9",
      "-k",
      key,
      "-p",
      pidFile,
    ];
    disk.fill();
    const command = new Running(trial, [...disk.within, ...args]);
    const status = await command.ended();
    const left = existsSync(join(disk.seen, "spiped.pid"))
      ? readFileSync(join(disk.seen, "spiped.pid"), "latin1")
      : undefined;
    const answers = await visit(port, 10, 2_000).catch(() => "waits");
    spawnSync("sh", ["-c", 'kill $(cat "$0") 2>/dev/null', join(disk.seen, "spiped.pid")]);
    if (program !== "C") {
      assert.equal(status, 1, command.log);
      assert.match(command.log, /^spiped: cannot write pid file .*: the disk is full$/m);
      assert.equal(answers, "ECONNREFUSED", "there is no daemon");
      assert.ok(left === undefined || left === "", `the pid file has ${left}`);
      assert.equal(left, undefined, "an empty pid file is left behind");
      disk.free();
      const again = new Running(trial, [...disk.within, ...args]);
      assert.equal(await again.ended(), 0, again.log);
      const pid = Number(readFileSync(join(disk.seen, "spiped.pid"), "latin1"));
      trial.afterwards(() => process.kill(pid, "SIGKILL"));
      assert.ok(pid > 0);
    }
    return `exit ${status}: ${command.lines[0] ?? "no message"}; a client: ${answers}; pid file: ${left === undefined ? "none" : JSON.stringify(left)}`;
  });
}

for (const program of ["relay", "C"]) {
  scenario(`disk/full under the log ${program}`, async (trial) => {
    const disk = await smallDisk(trial);
    const service = await Service.start(trial);
    const key = newKey(trial);
    const log = join(disk.seen, "log");
    const file = openSync(log, "a");
    const far = await startEnd(trial, "-d", {
      program,
      target: service.port,
      key,
      flags: program === "C" ? [] : ["--log-level", "debug"],
      stdio: ["ignore", "ignore", file],
    });
    closeSync(file);
    const near = await startEnd(trial, "-e", { target: far.port, key });
    assert.equal(await visit(near.port), "whole");
    const friend = dial(near.port);
    await friend.ask();
    disk.fill();
    // One line each.
    for (let count = 0; count < 60; count += 1) await visitStranger(far.port);
    for (let count = 0; count < 10; count += 1) await friend.ask();
    assert.equal(await visit(near.port), "whole", "clients are served with a full disk");
    const whileFull = readFileSync(log, "latin1");
    disk.free();
    if (program === "C") return `clients served meanwhile; ${whileFull.split("\n").length - 1} lines before`;
    far.signal("SIGHUP");
    await until(
      () => /SIGHUP/.test(readFileSync(log, "latin1")),
      () => `the log to go on: ${readFileSync(log, "latin1")}`,
    );
    const text = readFileSync(log, "latin1");
    const lost = Number(/log messages dropped: (\d+)/.exec(text)?.[1]);
    assert.ok(lost > 0, `it says how many lines are lost: ${text}`);
    return `clients served meanwhile; ${whileFull.split("\n").length - 1} lines before, then ${lost} lost, said when there was room: "${text.split("\n").find((line) => line.includes("log messages dropped"))}"`;
  });
}

/** A client without the key. */
async function visitStranger(port) {
  const stranger = dial(port);
  stranger.socket.write(Buffer.alloc(400));
  await until(() => stranger.end !== undefined, "the stranger's end");
  stranger.destroy();
}

for (const program of PROGRAMS) {
  scenario(`disk/full pipe as the log, then read again ${program}`, async (trial) => {
    const service = await Service.start(trial);
    const key = newKey(trial);
    const far = await startEnd(trial, "-d", {
      program,
      target: service.port,
      key,
      flags: program === "C" ? [] : ["--log-level", "debug"],
      stdio: ["ignore", "ignore", "pipe"],
    });
    const near = await startEnd(trial, "-e", { program, target: far.port, key });
    if (program !== "C") await far.said(/listening/);
    far.child.stderr.pause();
    const friend = dial(near.port);
    for (let count = 0; count < 6_000; count += 200) {
      await Promise.all(Array.from({ length: 20 }, () => visit(near.port, 10)));
      for (let line = 0; line < 10; line += 1) await visitStranger(far.port);
      await friend.ask();
    }
    const rss = () => Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${far.pid}/status`, "latin1"))?.[1]);
    const kilobytes = rss();
    assert.equal(await visit(near.port), "whole");
    const before = far.lines.length;
    far.child.stderr.resume();
    if (program !== "C") await until(() => far.lines.length > before + 100, "the rest of the log");
    assert.equal(await visit(near.port), "whole");
    await sleep(200);
    far.signal("SIGTERM");
    friend.socket.end();
    await far.ended();
    return `600 clients and 300 strangers while nobody read; ${before} lines before, ${far.lines.length} in the end; ${(kilobytes / 1_024).toFixed(0)} MiB`;
  });
}

scenario("disk/full under --config's file", async (trial) => {
  const disk = await smallDisk(trial);
  const service = await Service.start(trial);
  const key = newKey(trial);
  const [near, far] = [await freePort(), await freePort()];
  const text = (more = "") =>
    `[defaults]\nkey = "${key}"\n[encrypt.near]\nsource = "[127.0.0.1]:${near}"\ntarget = "[127.0.0.1]:${far}"\n` +
    `[decrypt.far]\nsource = "[127.0.0.1]:${far}"\ntarget = "[127.0.0.1]:${service.port}"\n${more}`;
  const path = join(disk.seen, "tunnels.toml");
  writeFileSync(path, text());
  const running = new Running(trial, [
    ...disk.within,
    ...argsOf("relay"),
    "-F",
    "--config",
    join(disk.folder, "tunnels.toml"),
  ]);
  await running.said(/listening on/, 2);
  const friend = dial(near);
  await friend.ask();
  disk.fill();
  // What an editor leaves behind on a full disk: an empty file, or a part.
  const lines = [];
  let wrong = 0;
  for (const length of [0, 30, 60, text().length - 20]) {
    const room = openSync(path, "w");
    closeSync(room);
    disk.free();
    writeFileSync(path, text().slice(0, length));
    disk.fill();
    wrong += 1;
    running.signal("SIGHUP");
    lines.push(await running.said(/keeping the old configuration|tunnels:/, wrong));
    await friend.ask();
    assert.equal(await visit(near), "whole");
  }
  disk.free();
  writeFileSync(path, text("# whole again\n"));
  running.signal("SIGHUP");
  await running.said(/reloaded .*; tunnels|keeping the old configuration/, wrong + 1);
  await friend.ask();
  assert.ok(
    lines.every((line) => /keeping the old configuration/.test(line)),
    lines.join("\n"),
  );
  return `4 parts of a file: all tunnels stay; then whole again: ${running.lines.at(-1)}`;
});

scenario("disk/full under the folder of keys", async (trial) => {
  const disk = await smallDisk(trial);
  const service = await Service.start(trial);
  const own = newKey(trial);
  const keys = join(disk.seen, "keys");
  mkdirSync(keys);
  copyFileSync(own, join(keys, "friend.key"));
  const port = await freePort();
  const args = [
    "-F",
    "-d",
    "-s",
    `[127.0.0.1]:${port}`,
    "-t",
    `[127.0.0.1]:${service.port}`,
    "-k",
    join(disk.folder, "keys"),
  ];
  const far = new Running(trial, [...disk.within, ...argsOf("relay"), ...args]);
  await far.said(/listening/);
  const near = await startEnd(trial, "-e", { target: port, key: own });
  const friend = dial(near.port);
  await friend.ask();
  disk.fill();
  // A new key that found no room, and the friend's key, rewritten in vain.
  writeFileSync(join(keys, "friend.key"), "");
  disk.fill();
  spawnSync("sh", ["-c", 'head -c 32 /dev/urandom > "$0/new.key"; head -c 32 /dev/urandom >> "$0/friend.key"', keys]);
  assert.deepEqual([readFileSync(join(keys, "friend.key")).length, readFileSync(join(keys, "new.key")).length], [0, 0]);
  far.signal("SIGHUP");
  await far.said(/SIGHUP: reloaded .*/);
  await friend.ask();
  assert.equal(await visit(near.port), "whole", "the old key stays");
  const said = far.lines.filter((line) => /friend|new/.test(line));
  disk.free();
  rmSync(join(keys, "new.key"));
  writeFileSync(join(keys, "friend.key"), randomBytes(32));
  far.signal("SIGHUP");
  await far.said(/SIGHUP: reloaded .*/, 2);
  await until(() => friend.end !== undefined, "the removed key's connection to be reset");
  assert.equal(friend.end, "reset");
  return `empty files: the old key stays; once the new one is written, the connection with the old one is reset. ${said.join(" | ")}`;
});
