// Memory and tasks run out and come back: by control groups, and by `ulimit -v`, of which Node.js reserves a lot at
// startup. What only version 2 of control groups has is in memory-groups.mjs.

import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";
import { controlGroup } from "../../support/control-groups.mjs";
import { dial, Service, tally, visit } from "../../support/exact-traffic.mjs";
import { freePort } from "../../support/processes.mjs";
import { Lacking, scenario, until } from "../../support/scenarios.mjs";
import { argsOf, newKey, OURS, ROLES, Running, startBoth, startEnd } from "../../support/tunnel-ends.mjs";

for (const program of [...OURS, "C"]) {
  for (const on of ROLES) {
    scenario(`memory/a group's limit, stopped until there is more ${on} ${program}`, async (trial) => {
      const memory = controlGroup(trial, "memory", { version: 1 });
      const service = await Service.start(trial);
      const ends = await startBoth(trial, {
        program,
        target: service.port,
        on,
        before: memory.before,
        common: ["-n", "1000", "-o", "120"],
      });
      const friends = Array.from({ length: 5 }, () => dial(ends.near.port));
      for (const friend of friends) await friend.ask();
      // In version 1, a process that needs more can be made to wait instead of being killed.
      memory.write("memory.oom_control", 1);
      const used = memory.used();
      // As little as the kernel can make of it, so that the next page is one too many.
      for (let bytes = used - (used % 4_096); bytes > 0; bytes -= 512 * 1_024) {
        try {
          memory.limit(bytes);
        } catch {
          break;
        }
      }
      const crowd = Array.from({ length: 300 }, () => visit(ends.near.port, 200_000, 120_000));
      const starved = await until(
        () => /under_oom 1/.test(memory.read("memory.oom_control")),
        "it to need more",
        20_000,
      ).catch(() => false);
      await sleep(3_000);
      memory.limit(-1);
      const counts = tally(await Promise.all(crowd));
      for (const friend of friends) await friend.ask();
      const lost = /(\d+) × reset/.exec(counts)?.[1] ?? "0";
      const lines = [ends.near, ends.far].flatMap((one) =>
        one.lines.filter((line) => /connection from|cannot/.test(line)),
      );
      if (program !== "C") {
        // The system may have no memory for a socket: that costs one connection, and is logged.
        assert.match(counts, /^(\d+ × (whole|reset)(, )?)+$/);
        assert.ok(lost === "0" || lines.length > 0, `${lost} are lost without a word`);
      }
      assert.equal(ends.faulty.isGone, false);
      return `limited to its ${(memory.most() / 1e6).toFixed(0)} MB${starved ? ", stalled for 3 s" : ", which was enough"}; then 5 connections go on, 300 clients: ${counts}${lines.length > 0 ? `; "${lines[0]}"` : ""}`;
    });

    scenario(`memory/killed for it ${on} ${program}`, async (trial) => {
      const memory = controlGroup(trial, "memory");
      const service = await Service.start(trial, "endless");
      const ends = await startBoth(trial, {
        program,
        target: service.port,
        on,
        before: memory.before,
        common: ["-n", "1000"],
      });
      const clients = Array.from({ length: 5 }, () => dial(ends.near.port).sendForEver());
      await until(() => clients.every(({ received }) => received > 100_000), "traffic");
      // No page more than it has, and then many clients.
      memory.limit(memory.used());
      const crowd = Array.from({ length: 300 }, () => dial(ends.near.port).sendForEver());
      const how = await ends.faulty.ended();
      for (const one of crowd) one.destroy();
      const sides = [...clients, ...service.connections.slice(0, 5)];
      await until(() => sides.every(({ end }) => end !== undefined), "all ends");
      const counted = tally(sides.map(({ end }) => end));
      if (program !== "C") assert.equal(counted, "10 × reset");
      assert.ok(sides.every(({ wrongAt }) => wrongAt === undefined));
      return `ended by ${how}; both sides of 5 endless connections: ${counted}`;
    });
  }
}

for (const [on, program] of ROLES.flatMap((role) => [
  [role, "relay"],
  [role, "C"],
])) {
  scenario(`memory/ulimit -v while it runs ${on} ${program}`, async (trial) => {
    const service = await Service.start(trial);
    const ends = await startBoth(trial, {
      program,
      target: service.port,
      on,
      common: ["-n", "5000", "-o", "60"],
    });
    const friends = Array.from({ length: 5 }, () => dial(ends.near.port));
    for (const friend of friends) await friend.ask();
    const size = Number(/VmSize:\s+(\d+)/.exec(readFileSync(`/proc/${ends.faulty.pid}/status`, "latin1"))?.[1]) * 1_024;
    const limit = (bytes) => spawnSync("prlimit", [`--pid=${ends.faulty.pid}`, `--as=${bytes}:`]);
    if (limit(size).status !== 0) throw new Lacking("prlimit is not installed");
    const crowd = Promise.all(Array.from({ length: 300 }, () => visit(ends.near.port, 100_000)));
    if (program !== "C") ends.faulty.signal("SIGHUP");
    const counts = tally(await crowd);
    const gone = ends.faulty.isGone;
    if (program === "C" && !gone) {
      const now = tally(friends.map(({ end }) => end ?? "open"));
      limit("unlimited");
      const later = await visit(ends.near.port);
      return `no more address space: it goes on, 300 clients: ${counts}; 5 connections: ${now}; a later client: ${later}; it says ${JSON.stringify(ends.faulty.lines.at(-1) ?? "nothing")}`;
    }
    if (!gone) {
      limit("unlimited");
      for (const friend of friends) await friend.ask();
      assert.equal(await visit(ends.near.port), "whole");
      const hups = ends.faulty.count(/SIGHUP/);
      ends.faulty.signal("SIGHUP");
      await ends.faulty.said(/SIGHUP: reloaded/, Math.max(1, ends.faulty.count(/SIGHUP: reloaded/)));
      return `no more address space: 300 clients: ${counts}; 5 connections go on; SIGHUP meanwhile: ${ends.faulty.lines.find((line) => line.includes("SIGHUP")) ?? hups}; then all as before`;
    }
    await until(() => friends.every(({ end }) => end !== undefined), "all ends");
    if (program !== "C") assert.ok(friends.every(({ end }) => end === "reset"));
    return `no more address space: it ends with ${ends.faulty.child.signalCode ?? ends.faulty.child.exitCode} and says "${ends.faulty.lines.find((line) => /memory/i.test(line)) ?? ends.faulty.lines.at(-1)}"; 300 clients: ${counts}; the others: ${tally(friends.map(({ end }) => end))}`;
  });
}

/** Starts a far end. @returns It, and whether it starts, exits, or hangs. */
async function tryToStart(trial, args, { port, key, limitMs }) {
  const one = new Running(trial, [...args, "-F", "-d", "-s", "[127.0.0.1]:0", "-t", `[127.0.0.1]:${port}`, "-k", key]);
  const outcome = () =>
    (one.log.includes("listening") && "starts") ||
    (one.isGone && `ends (${one.child.signalCode ?? one.child.exitCode})`);
  return { one, how: await until(outcome, "a start or an end", limitMs).catch(() => "hangs") };
}

scenario("memory/ulimit -v at the start C", async (trial) => {
  const found = [];
  const key = newKey(trial);
  const service = await Service.start(trial);
  for (const megabytes of [2, 4, 6, 8, 10, 12, 16]) {
    const port = await freePort();
    const args = ["sh", "-c", `ulimit -v ${megabytes * 1_024}; exec "$@"`, "sh", ...argsOf("C")];
    const to = ["-F", "-d", "-s", `[127.0.0.1]:${port}`, "-t", `[127.0.0.1]:${service.port}`, "-k", key];
    const one = new Running(trial, [...args, ...to]);
    const isUp = await until(async () => one.isGone || (await visit(port, 1)) !== "ECONNREFUSED", "a start or an end");
    found.push(
      `${megabytes} MB: ${one.isGone ? `ends (${one.child.signalCode ?? one.child.exitCode}), ${one.lines[0] ?? "no message"}` : `starts: ${isUp}`}`,
    );
  }
  return found.join("; ");
});

scenario("memory/ulimit -v at the start", async (trial) => {
  const service = await Service.start(trial);
  const key = newKey(trial);
  const found = [];
  for (const megabytes of [64, 256, 512, 700, 800, 1_000, 1_500, 2_000, 4_000]) {
    const args = ["sh", "-c", `ulimit -v ${megabytes * 1_024}; exec "$@"`, "sh", ...argsOf("relay")];
    const { one, how } = await tryToStart(trial, args, { port: service.port, key, limitMs: 30_000 });
    if (how === "starts") one.signal("SIGTERM");
    found.push(
      `${megabytes} MB: ${how}${how === "starts" ? "" : `, ${(one.lines.find((line) => line.trim() !== "") ?? "no message").slice(0, 90)}`}`,
    );
  }
  assert.ok(!found.some((line) => line.includes("hangs")), found.join("; "));
  return found.join("; ");
});

scenario("memory/no more tasks, then more", async (trial) => {
  const tasks = controlGroup(trial, "pids");
  const service = await Service.start(trial);
  const key = newKey(trial);
  const far = await startEnd(trial, "-d", { target: `localhost:${service.port}`, key, flags: ["-r", "0.2"] });
  const near = await startEnd(trial, "-e", { target: far.port, key });
  assert.equal(await visit(near.port), "whole");
  tasks.add(far.pid);
  tasks.limit(far.threads);
  const friend = dial(near.port);
  await friend.ask();
  await far.said(/cannot resolve|no thread/);
  far.signal("SIGHUP");
  await far.said(/SIGHUP: .*(no thread|keeping the old key)/);
  const counts = tally(await Promise.all(Array.from({ length: 50 }, () => visit(near.port))));
  assert.equal(counts, "50 × whole");
  const meanwhile = far.lines.slice(1);
  tasks.limit("max");
  far.signal("SIGHUP");
  await far.said(/SIGHUP: reloaded/);
  await friend.ask();
  assert.ok(meanwhile.length < 6, meanwhile.join("\n"));
  return `50 clients: ${counts}; ${meanwhile.map((line) => `"${line}"`).join(", ")}; then SIGHUP reads the key`;
});

scenario("memory/no tasks at the start", async (trial) => {
  const service = await Service.start(trial);
  const key = newKey(trial);
  const found = [];
  for (let limit = 1; limit <= 22; limit += 1) {
    const tasks = controlGroup(trial, "pids");
    const args = [
      "sh",
      "-c",
      'echo $$ > "$0/cgroup.procs"; echo "$1" > "$0/pids.max"; shift; exec "$@"',
      tasks.path,
      String(limit),
      ...argsOf("relay"),
    ];
    const { one, how } = await tryToStart(trial, args, { port: service.port, key, limitMs: 10_000 });
    const word = one.lines.find((line) => /spiped:|Warning|Assertion|pthread|error/i.test(line)) ?? "no message";
    if (!one.isGone) one.signal(how === "starts" ? "SIGTERM" : "SIGKILL");
    found.push(`${how}, ${how === "starts" && !/Warning/.test(one.log) ? "" : word.slice(0, 110)}`);
  }
  // With fewer, Node.js fails before our code runs.
  assert.ok(!found.slice(10).some((text) => text.startsWith("hangs")), found.join("; "));
  const runs = [];
  for (const [at, text] of found.entries()) {
    if (runs.at(-1)?.text === text) runs.at(-1).last = at + 1;
    else runs.push({ first: at + 1, last: at + 1, text });
  }
  return runs
    .map(({ first, last, text }) => `${first === last ? first : `${first} to ${last}`} tasks: ${text}`)
    .join("; ");
});
