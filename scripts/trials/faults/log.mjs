// The log's reader stops, leaves and comes back: standard error is a full pipe, then a closed one; the system's log
// goes away and returns. (A pipe that is read again is in disk.mjs.)

import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { existsSync } from "node:fs";
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
