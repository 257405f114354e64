// Descriptors run out and come back: open connections go on, new clients wait, nothing spins, and the log stays short.

import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { setTimeout as sleep } from "node:timers/promises";
import { dial, Service } from "../../support/exact-traffic.mjs";
import { Lacking, scenario, until } from "../../support/scenarios.mjs";
import { cpuSeconds, PROGRAMS, ROLES, startBoth, untilDescriptors } from "../../support/tunnel-ends.mjs";

const CLIENTS = 120;
const QUIET_MS = 5_000;

function setLimit(pid, descriptors) {
  const { status, stderr } = spawnSync("prlimit", [`--pid=${pid}`, `--nofile=${descriptors}:`], { encoding: "utf8" });
  if (status !== 0) throw new Lacking(`prlimit does not work: ${stderr}`);
}

const answered = (clients) => clients.filter(({ received }) => received > 0);

/** Connected clients are answered, the others wait, and none ends. @returns The CPU use while all are quiet. */
async function requireWaiting({ faulty }, clients, program) {
  let served = 0;
  // Until no further client is served for a second.
  for (let same = 0; same < 20; await sleep(50)) {
    const now = answered(clients).length;
    same = now === served ? same + 1 : 0;
    served = now;
  }
  if (program === "C" && faulty.isGone) return undefined;
  const before = cpuSeconds(faulty.pid);
  await sleep(QUIET_MS);
  const share = (cpuSeconds(faulty.pid) - before) / (QUIET_MS / 1_000);
  if (program !== "C") {
    assert.ok(
      clients.every(({ end }) => end === undefined),
      "no connection ends",
    );
    assert.ok(share < 0.1, `it takes ${share} of a CPU while everybody waits`);
  }
  for (const client of answered(clients)) await client.ask();
  return { served, share };
}

for (const program of PROGRAMS) {
  for (const on of ROLES) {
    scenario(`descriptors/few ${on} ${program}`, async (trial) => {
      const service = await Service.start(trial);
      const before = program === "C" ? ["prlimit", "--nofile=40"] : ["prlimit", "--nofile=100"];
      const ends = await startBoth(trial, {
        program,
        target: service.port,
        on,
        before,
        common: ["-n", "500", "-o", "120"],
      });
      const open = ends.faulty.descriptors;
      const clients = Array.from({ length: CLIENTS }, () => dial(ends.near.port));
      for (const client of clients) client.ask().catch(() => undefined);
      const waiting = await requireWaiting(ends, clients, program);
      if (waiting === undefined)
        return `it died: ${ends.faulty.child.signalCode ?? ends.faulty.child.exitCode}, ${ends.faulty.lines.at(-1)}`;
      let served = waiting.served;
      assert.ok(served > 5 && served < CLIENTS, `${served} are served`);
      // As they end, others have their turn.
      const gone = new Set();
      while (gone.size < CLIENTS) {
        for (const client of answered(clients)) {
          if (gone.has(client)) continue;
          gone.add(client);
          client.socket.end();
        }
        await until(() => gone.size === CLIENTS || answered(clients).length > gone.size, "the next ones to be served");
      }
      served = answered(clients).length;
      assert.equal(served, CLIENTS);
      await until(() => clients.every(({ end }) => end !== undefined), "all to end");
      if (program !== "C")
        assert.ok(
          clients.every(({ end }) => end === "fin"),
          "each in order",
        );
      await untilDescriptors(ends.faulty, open + 1);
      assert.ok(ends.faulty.lines.length < 10, ends.faulty.log);
      return `${CLIENTS} clients, room for ${waiting.served}, ${(waiting.share * 100).toFixed(1)} % of a CPU while the others wait, then all served; ${ends.faulty.lines.length} lines`;
    });

    scenario(`descriptors/taken away and given back ${on} ${program}`, async (trial) => {
      const service = await Service.start(trial);
      const ends = await startBoth(trial, { program, target: service.port, on, common: ["-n", "500", "-o", "120"] });
      const friends = Array.from({ length: 10 }, () => dial(ends.near.port));
      for (const friend of friends) await friend.ask();
      // One more: enough to accept a client, but not to dial for it.
      const taken = new Set(ends.faulty.numbers());
      let limit = 1;
      while (taken.has(limit - 1)) limit += 1;
      setLimit(ends.faulty.pid, limit);
      const late = Array.from({ length: 20 }, () => dial(ends.near.port));
      for (const client of late) client.ask().catch(() => undefined);
      const begun = ends.faulty.lines.length;
      for (let count = 0; count < 50; count += 1) {
        for (const friend of friends) await friend.ask();
        await sleep(100);
        if (ends.faulty.isGone)
          return `it died: ${ends.faulty.child.signalCode ?? ends.faulty.child.exitCode}, ${ends.faulty.lines.at(-1)}`;
      }
      const before = cpuSeconds(ends.faulty.pid);
      await sleep(QUIET_MS);
      const share = (cpuSeconds(ends.faulty.pid) - before) / (QUIET_MS / 1_000);
      const lines = ends.faulty.lines.slice(begun);
      const wereCut = late.filter(({ end }) => end !== undefined).length;
      setLimit(ends.faulty.pid, 4_096);
      await until(() => late.every(({ received, end }) => received > 0 || end !== undefined), "the late ones");
      for (const friend of friends) await friend.ask();
      const next = dial(ends.near.port);
      await next.ask();
      const cut = late.filter(({ end }) => end !== undefined).length;
      if (program !== "C") {
        assert.ok(share < 0.1, `it takes ${share} of a CPU meanwhile`);
        assert.ok(lines.length <= 16, `${lines.length} lines: ${lines.join("\n")}`);
        assert.ok(late.every(({ end }) => end === undefined || end === "reset"));
      }
      return (
        `10 connections go on; of 20 that came meanwhile ${wereCut} were cut then, ${cut - wereCut} later, the others served once there were more; ` +
        `${(share * 100).toFixed(1)} % of a CPU; ${lines.length} lines in 10 s: ${lines[0] ?? ""}`
      );
    });
  }
}
