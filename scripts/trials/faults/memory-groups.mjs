// Memory limits of control groups, version 2, as systemd's MemoryMax and MemoryHigh and containers set them: a flood of
// connections up to the limit, a supervisor that restarts the process, and what is left of it. The buffers of sockets
// count as well. On a machine without them: `node scripts/trials/in-uml.mjs faults memory-groups/`.

import assert from "node:assert/strict";
import { setTimeout as sleep } from "node:timers/promises";
import { controlGroup } from "../../support/control-groups.mjs";
import { dial, Service, tally, visit } from "../../support/exact-traffic.mjs";
import { freePort } from "../../support/processes.mjs";
import { scenario, until } from "../../support/scenarios.mjs";
import { argsOf, newKey, PROGRAMS, ROLES, Running, startBoth, startEnd } from "../../support/tunnel-ends.mjs";

const MEGABYTE = 1 << 20;
/** Longer than all of it takes on a slow machine, short enough to be called a hang. */
const HANG_MS = 120_000;
/** For a question beside a flood. */
const ASK_MS = 20_000;

/** Restarts a program in a group whenever it exits, and says how it exited. */
const SUPERVISOR = `group=$1; shift
while :; do
  sh -c 'echo $$ > "$0/cgroup.procs"; exec "$@"' "$group" "$@"
  echo "supervisor: exit $?" >&2
  sleep 0.2
done`;

for (const program of PROGRAMS) {
  for (const on of ROLES) {
    scenario(`memory-groups/a flood up to the limit, and a supervisor ${on} ${program}`, async (trial) => {
      const memory = controlGroup(trial, "memory", { version: 2 });
      const service = await Service.start(trial, "endless");
      const ends = await startBoth(trial, {
        program,
        target: service.port,
        on,
        before: ["sh", "-c", SUPERVISOR, "sh", memory.path],
        common: ["-n", "0", "-o", "60"],
      });
      const clients = Array.from({ length: 5 }, () => dial(ends.near.port).sendForEver());
      await until(() => clients.every(({ received }) => received > 100_000), "traffic");
      const before = memory.used();
      memory.limit(before + (program === "C" ? 1 : 16) * MEGABYTE);
      // Clients that send for ever, and never read.
      const crowd = [];
      const limit = performance.now() + HANG_MS;
      while (ends.faulty.count(/supervisor: exit/) === 0) {
        if (performance.now() > limit || crowd.length > 4_000) break;
        const one = dial(ends.near.port).sendForEver();
        one.socket.pause();
        crowd.push(one);
        await sleep(5);
      }
      const exits = ends.faulty.lines.filter((line) => line.startsWith("supervisor: exit"));
      const most = memory.most();
      const kills = memory.events("oom_kill");
      const size = crowd.length;
      for (const one of crowd) one.destroy();
      if (exits.length > 0) {
        const sides = [...clients, ...service.connections.slice(0, 5)];
        await until(() => sides.every(({ end }) => end !== undefined), "all ends");
        const how = tally(sides.map(({ end }) => end));
        if (program !== "C") assert.equal(how, "10 × reset");
      }
      service.conduct = "echo";
      // The same limit holds for the process that was started again, and for what is left of the flood.
      const begun = performance.now();
      await until(
        async () => (await visit(ends.near.port, 5_000, 5_000).catch(() => "none")) === "whole",
        "service again",
        HANG_MS,
      );
      const seconds = ((performance.now() - begun) / 1_000).toFixed(1);
      const visits = tally(await Promise.all(Array.from({ length: 20 }, () => visit(ends.near.port))));
      if (program !== "C") assert.equal(visits, "20 × whole");
      if (program !== "C" && exits.length > 0) assert.ok(exits[0].endsWith("exit 137"), exits[0]);
      const sides = [...clients, ...service.connections.slice(0, 5)].map(({ end }) => end);
      return `limit ${mb(before)} + 16 MB, at most ${mb(most)}; after ${size} clients ${exits.length > 0 ? `killed (${kills}), "${exits[0]}"` : "it goes on"}; the first 5, both sides: ${tally(sides)}; a client is served after ${seconds} s, then ${visits}`;
    });

    for (const limit of ["max", "high"]) {
      scenario(`memory-groups/sockets that nobody reads, memory.${limit} ${on} ${program}`, async (trial) => {
        const memory = controlGroup(trial, "memory", { version: 2 });
        const service = await Service.start(trial);
        const common = ["-n", "0", "-o", "60"];
        const ends = await startBoth(trial, { program, target: service.port, on, before: memory.before, common });
        const friend = dial(ends.near.port);
        await friend.ask();
        memory.write(`memory.${limit}`, memory.used() + 24 * MEGABYTE);
        // Clients that send 2 MB and read nothing for a while: all buffers on the way are full.
        const length = 2_000_000;
        const crowd = Array.from({ length: 30 }, () => {
          const one = dial(ends.near.port).send(length);
          one.socket.pause();
          return one;
        });
        await sleep(5_000);
        const [used, reached] = [memory.used(), memory.events(limit)];
        const asked = await secondsOf(friend.ask(100, ASK_MS));
        for (const one of crowd) one.socket.resume();
        const allEnd = (ms) => until(() => crowd.every(({ end }) => end !== undefined), "the end of all", ms);
        const ended = await secondsOf(allEnd(HANG_MS));
        let lifted = "";
        if (ended === undefined) {
          memory.write(`memory.${limit}`, "max");
          const seconds = await secondsOf(allEnd(HANG_MS));
          if (seconds === undefined) throw new Error("it hangs even without the limit");
          lifted = `; without the limit after ${seconds} s`;
        }
        const isWhole = ({ received, wrongAt, end }) => end === "fin" && received === length && wrongAt === undefined;
        const how = tally(crowd.map((one) => (isWhole(one) ? "whole" : one.end === "fin" ? "truncated" : one.end)));
        const { isGone } = ends.faulty;
        if (program !== "C") {
          assert.ok(!how.includes("truncated"), how);
          // What a throttled process cannot do in time is reset, with a message.
          const said = [ends.near, ends.far].reduce((sum, one) => sum + one.count(/connection from/), 0);
          const resets = Number(/(\d+) × reset/.exec(how)?.[1] ?? 0);
          assert.ok(isGone || resets === 0 || (limit === "high" && said >= Math.min(resets, 10)), how);
          assert.match(how, /^\d+ × (whole|reset)(, \d+ × (whole|reset))?$/);
          // The kernel throttles a process above memory.high for as long as it cannot reclaim.
          assert.ok(limit === "high" || isGone || (asked !== undefined && lifted === ""), `it hangs${lifted}`);
        }
        const end = isGone ? "killed; " : "";
        return `${mb(used)}, limit reached ${reached} times; a question meanwhile: ${within(asked)}; ${end}30 clients of 2 MB, when they read again: ${within(ended)}${lifted}, ${how}`;
      });
    }
  }
}

scenario("memory-groups/how little is enough", async (trial) => {
  const service = await Service.start(trial);
  const key = newKey(trial);
  const found = [];
  for (const program of PROGRAMS) {
    for (const megabytes of program === "C" ? [1, 2, 4] : [16, 24, 32, 48, 64, 96, 128]) {
      const memory = controlGroup(trial, "memory", { version: 2 });
      memory.limit(megabytes * MEGABYTE);
      const port = await freePort();
      const args = [...memory.before, ...argsOf(program), "-F", "-d", "-s", `[127.0.0.1]:${port}`];
      const far = new Running(trial, [...args, "-t", `[127.0.0.1]:${service.port}`, "-k", key, "-n", "0", "-o", "60"]);
      const begun = performance.now();
      const listens = await until(async () => far.isGone || (await answers(port)), "a start or an end", HANG_MS).catch(
        () => false,
      );
      const seconds = ((performance.now() - begun) / 1_000).toFixed(1);
      let how = `${far.isGone ? `killed (${far.child.signalCode ?? far.child.exitCode})` : listens ? "starts" : "HANGS"} after ${seconds} s`;
      if (listens && !far.isGone) {
        const its = await startEnd(trial, "-e", { target: port, key, flags: ["-n", "0", "-o", "60"] });
        const crowd = Array.from({ length: 200 }, () => visit(its.port, 100_000, HANG_MS).catch(() => "HANGS"));
        how += `, 200 clients: ${tally(await Promise.all(crowd))}${far.isGone ? ", killed" : ""}`;
        its.signal("SIGKILL");
      }
      if (program !== "C") assert.ok(!how.includes("HANGS"), `${program}, ${megabytes} MB: ${how}`);
      found.push(`${program}, ${megabytes} MB: ${how}`);
      if (!far.isGone) far.signal("SIGKILL");
    }
  }
  return found.join("; ");
});

/** Whether something listens on a port. */
async function answers(port) {
  const one = dial(port);
  await until(() => one.isClosed || !one.socket.connecting, "an answer");
  const is = !one.isClosed;
  one.destroy();
  return is;
}

/** Seconds until a promise resolved, as text; undefined if it failed. */
async function secondsOf(promise) {
  const begun = performance.now();
  return promise.then(
    () => ((performance.now() - begun) / 1_000).toFixed(1),
    () => undefined,
  );
}

const within = (seconds) => (seconds === undefined ? "not in time" : `after ${seconds} s`);
const mb = (bytes) => `${(bytes / 1e6).toFixed(0)} MB`;
