// The log's reader stops, leaves and comes back: standard error is a pipe, or a socket as systemd gives to its services,
// and its reader is stopped, continued, or gone; the system's log goes away and returns.

import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { dial, Service, visit } from "../../support/exact-traffic.mjs";
import { Lacking, scenario, until } from "../../support/scenarios.mjs";
import { argsOf, cpuSeconds, newKey, PROGRAMS, Running, startEnd } from "../../support/tunnel-ends.mjs";

async function annoy(port) {
  const stranger = dial(port);
  stranger.socket.write(Buffer.alloc(400));
  await until(() => stranger.end !== undefined, "the stranger's end");
  stranger.destroy();
}

for (const program of PROGRAMS) {
  scenario(`log/a reader that goes away ${program}`, async (trial) => {
    const service = await Service.start(trial);
    const key = newKey(trial);
    const far = await startEnd(trial, "-d", { program, target: service.port, key });
    const near = await startEnd(trial, "-e", { program, target: far.port, key });
    const friend = dial(near.port);
    await friend.ask();
    far.child.stderr.destroy();
    near.child.stderr.destroy();
    for (let count = 0; count < 30; count += 1) await annoy(far.port);
    await friend.ask();
    assert.equal(await visit(near.port), "whole");
    const before = cpuSeconds(far.pid);
    await sleep(2_000);
    const share = (cpuSeconds(far.pid) - before) / 2;
    assert.ok(program === "C" || share < 0.1, `${share} of a CPU`);
    far.signal("SIGTERM");
    friend.socket.end();
    const status = await far.ended();
    if (program !== "C") assert.equal(status, 0);
    return `30 strangers, a connection and a client: all as with a reader; ${(share * 100).toFixed(1)} % of a CPU; exit ${status}`;
  });
}

/** Starts a command whose standard error is read by a process of its own, which writes what it reads to a file. */
const READER = `import os, socket, sys
kind, log, pid_file, *command = sys.argv[1:]
if kind == "pipe": reading, writing = os.pipe()
else: reading, writing = (one.detach() for one in socket.socketpair())
reader = os.fork()
if reader == 0:
    os.close(writing); file = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    while data := os.read(reading, 65536): os.write(file, data)
    sys.exit(0)
with open(pid_file, "w") as file: file.write(str(reader))
os.close(reading); os.dup2(writing, 2); os.close(writing); os.execvp(command[0], command)`;
/** More than the 1 MiB of messages that are buffered, and the system's buffers. */
const MUCH_BYTES = 2_000_000;
/** How long an exit may wait for a log that nobody reads, on a busy machine. */
const MOST_MS = 20_000;

for (const program of PROGRAMS) {
  for (const kind of ["pipe", "socket"]) {
    scenario(`log/a reader that stops and continues, ${kind} ${program}`, async (trial) => {
      const service = await Service.start(trial);
      const key = newKey(trial);
      const folder = trial.folder();
      const [log, pidFile] = [join(folder, "log"), join(folder, "pid")];
      const far = await startEnd(trial, "-d", {
        program,
        target: service.port,
        key,
        args: ["/usr/bin/python3", "-c", READER, kind, log, pidFile, ...argsOf(program)],
        flags: program === "C" ? [] : ["--log-level", "debug", "--log-format", "json"],
        stdio: ["ignore", "ignore", "ignore"],
      });
      const near = await startEnd(trial, "-e", { program, target: far.port, key });
      const read = () => (existsSync(log) ? readFileSync(log, "utf8").split("\n").slice(0, -1) : []);
      const reader = Number(readFileSync(pidFile, "latin1"));
      // Stopped, it would outlive its writer.
      trial.afterwards(() => process.kill(reader, "SIGKILL"));
      const crowd = async (count) => {
        for (let left = count; left > 0; left -= 20)
          assert.deepEqual(
            new Set(await Promise.all(Array.from({ length: 20 }, () => visit(near.port, 10)))),
            new Set(["whole"]),
          );
      };
      // How many messages a client makes.
      await crowd(20);
      await crowd(20);
      if (program !== "C")
        await until(
          () => read().filter((line) => /"closed/.test(line)).length >= 40,
          () => read().join("\n"),
        );
      await sleep(500);
      const [first] = [read()];
      const perClient = (first.length - 1) / 40;
      const bytes = Math.max(first.join("\n").length / 40, 1);
      const friend = dial(near.port);
      await friend.ask();
      process.kill(reader, "SIGSTOP");
      const clients = program === "C" ? 200 : Math.ceil(MUCH_BYTES / bytes / 20) * 20;
      const cpu = cpuSeconds(far.pid);
      await crowd(clients);
      await friend.ask();
      const before = cpuSeconds(far.pid);
      await sleep(1_000);
      const share = cpuSeconds(far.pid) - before;
      assert.ok(program === "C" || share < 0.3, `${share} of a CPU, after ${before - cpu} s`);
      process.kill(reader, "SIGCONT");
      await crowd(20);
      let text = "no message at all";
      if (program !== "C") {
        const dropped = () =>
          read().flatMap((line) => /log messages dropped: (\d+)/.exec(line)?.slice(1).map(Number) ?? []);
        const all = 1 + perClient * (40 + clients + 20);
        const sum = () => dropped().reduce((total, count) => total + count, 0);
        const count = () => read().length - dropped().length;
        await until(
          () => count() + sum() >= all,
          () => `${all} messages; ${count()} read, ${sum()} dropped`,
        );
        assert.ok(sum() > 0, "none was dropped");
        text = `${count()} messages read and ${sum()} counted as dropped of ${all} of ${60 + clients} clients`;
      }
      // Stopped for good: it must exit all the same.
      process.kill(reader, "SIGSTOP");
      await crowd(clients);
      friend.socket.end();
      await until(() => friend.end !== undefined, "the friend's end");
      const begun = performance.now();
      far.signal("SIGTERM");
      const status = await far.ended();
      const ms = performance.now() - begun;
      if (program !== "C") assert.equal(status, 0);
      assert.ok(program === "C" || ms < MOST_MS, `${ms} ms to exit`);
      return `${text}; all served; ${(share * 100).toFixed(0)} % of a CPU; with the reader stopped, SIGTERM takes ${(ms / 1_000).toFixed(1)} s: exit ${status}`;
    });
  }
}

const LOGGER = `import os, socket, sys, time
path = "/run/log"
def receive():
    if os.path.exists(path): os.unlink(path)
    one = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM); one.bind(path)
    return one
receiver = receive(); print("listening", flush=True)
for command in sys.stdin:
    if command == "read\\n":
        count = 0; receiver.setblocking(False)
        try:
            while True: receiver.recv(65536); count += 1
        except BlockingIOError: pass
        print("read", count, flush=True)
    elif command == "close\\n": receiver.close(); os.unlink(path); print("closed", flush=True)
    elif command == "open\\n": receiver = receive(); print("opened", flush=True)`;

scenario("log/the system's log stops reading, goes, and comes back", async (trial) => {
  if (existsSync("/dev/log"))
    throw new Lacking("this machine has a system log at /dev/log, which the scenario would write to");
  const script = "mount -t tmpfs none /run && echo mounted >&2 && exec sleep infinity";
  const holder = new Running(trial, ["unshare", "--mount", "--propagation", "private", "sh", "-c", script]);
  await until(() => holder.log.includes("mounted") || holder.isGone, "mounts of our own");
  if (holder.isGone) throw new Lacking(`cannot mount: ${holder.log}`);
  const within = ["nsenter", `--target=${holder.pid}`, "--mount", "--"];
  const logger = new Running(trial, [...within, "python3", "-c", LOGGER], { stdio: ["pipe", "pipe", "pipe"] });
  let said = "";
  logger.child.stdout.setEncoding("utf8").on("data", (text) => {
    said += text;
  });
  const tell = async (command, answer) => {
    const from = said.length;
    logger.child.stdin.write(`${command}\n`);
    await until(() => answer.test(said.slice(from)), `${command} of the logger`);
    return answer.exec(said.slice(from));
  };
  await until(() => said.includes("listening"), "the logger");
  const service = await Service.start(trial);
  const key = newKey(trial);
  const far = await startEnd(trial, "-d", {
    target: service.port,
    key,
    args: [...within, ...argsOf("relay")],
    flags: ["--syslog", "--log-level", "debug"],
    stdio: ["ignore", "ignore", "pipe"],
  });
  const near = await startEnd(trial, "-e", { target: far.port, key });
  const friend = dial(near.port);
  await friend.ask();
  const first = Number((await tell("read", /read (\d+)/))[1]);
  assert.ok(first >= 1, said);
  // Nobody reads: the socket buffers a few messages.
  for (let count = 0; count < 200; count += 1) await annoy(far.port);
  await friend.ask();
  assert.equal(await visit(near.port), "whole");
  const kept = Number((await tell("read", /read (\d+)/))[1]);
  await tell("close", /closed/);
  for (let count = 0; count < 20; count += 1) await annoy(far.port);
  await friend.ask();
  await tell("open", /opened/);
  await annoy(far.port);
  assert.equal(await visit(near.port), "whole");
  const back = Number((await tell("read", /read (\d+)/))[1]);
  assert.ok(back >= 2, `it is found again: ${back} messages`);
  return `while nobody read: 200 strangers, ${kept} messages kept, clients served; without a logger the same; when it is back: ${back} messages of one stranger and one client`;
});
void spawnSync;
