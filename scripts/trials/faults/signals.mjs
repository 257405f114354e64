// Signals under load, at either end: a receiver never takes a truncated stream for a complete one.

import assert from "node:assert/strict";
import { setTimeout as sleep } from "node:timers/promises";
import { dial, keepVisiting, Service, tally, visit } from "../../support/exact-traffic.mjs";
import { scenario, until } from "../../support/scenarios.mjs";
import { PROGRAMS, ROLES, startBoth, untilDescriptors } from "../../support/tunnel-ends.mjs";

const ENDLESS = 6;
const BULK_BYTES = 24e6;
const HANGUPS = 50;
const STOP_SECONDS = 30;

/** Both ends, endless connections in both directions, and short visits. */
async function underLoad(trial, { program, on, flags = [] }) {
  const service = await Service.start(trial, "endless");
  const ends = await startBoth(trial, { program, target: service.port, on, flags });
  const clients = Array.from({ length: ENDLESS }, () => dial(ends.near.port).sendForEver());
  const moves = (count) => clients.every(({ received }) => received > count);
  await until(() => moves(100_000), "traffic in both directions");
  service.conduct = "echo";
  const visits = keepVisiting(trial, ends.near.port);
  await until(() => (visits.counts.whole ?? 0) > 10, "visitors");
  const sides = [...clients, ...service.connections.slice(0, ENDLESS)];
  return { ...ends, service, clients, sides, visits, services: service.connections };
}

/** All bytes are right, and neither side of a connection sees a FIN that the other did not send. */
function requireNoFalseEnd(program, sides, visits) {
  assert.ok(
    sides.every(({ wrongAt }) => wrongAt === undefined),
    "a wrong byte was delivered",
  );
  assert.equal(visits.wrong ?? 0, 0);
  if (program === "C") return;
  assert.ok(
    sides.every(({ end }) => end === "reset"),
    `ends: ${tally(sides.map(({ end }) => end))}`,
  );
  assert.equal(visits.truncated ?? 0, 0, "a visitor took a part for the whole");
}

function figures({ clients, sides }, visits) {
  const bytes = sides.reduce((sum, { received }) => sum + received, 0);
  const [near, far] = [sides.slice(0, clients.length), sides.slice(clients.length)];
  return (
    `${clients.length} endless connections, ${(bytes / 1e6).toFixed(0)} MB, ends at the client: ` +
    `${tally(near.map(({ end }) => end))}; at the service: ${tally(far.map(({ end }) => end))}; visits: ${JSON.stringify(visits)}`
  );
}

for (const program of PROGRAMS) {
  scenario(`signals/SIGKILL of both ends at once ${program}`, async (trial) => {
    const load = await underLoad(trial, { program });
    for (const one of [load.near, load.far]) one.signal("SIGKILL");
    await until(() => load.sides.every(({ end }) => end !== undefined), "all ends");
    await sleep(200);
    const visits = await load.visits.stop();
    requireNoFalseEnd(program, load.sides, visits);
    return figures(load, visits);
  });

  for (const on of ROLES) {
    scenario(`signals/SIGKILL ${on} ${program}`, async (trial) => {
      const load = await underLoad(trial, { program, on });
      load.faulty.signal("SIGKILL");
      await until(() => load.sides.every(({ end }) => end !== undefined), "all ends");
      await sleep(200);
      const visits = await load.visits.stop();
      requireNoFalseEnd(program, load.sides, visits);
      // The other end keeps running and releases everything.
      if (program !== "C")
        await until(
          () => load.other.count(/connection from .*(reset|connect-failed|could not|cannot)/i) > 0 || true,
          "",
        );
      assert.equal(load.other.isGone, false, `the other end has ended: ${load.other.log}`);
      return figures(load, visits);
    });

    scenario(`signals/SIGTERM ${on} ${program}`, async (trial) => {
      const load = await underLoad(trial, { program, on });
      const bulk = visit(load.near.port, BULK_BYTES);
      const before = load.services.length;
      await until(() => load.services.slice(before - 3).some(({ received }) => received > 500_000), "bulk under way");
      load.faulty.signal("SIGTERM");
      assert.equal(await bulk, program === "C" ? await bulk : "whole", "what is open goes on to its end");
      const later = await visit(load.near.port, 1_000, 3_000).catch(() => "no answer");
      const received = load.clients.map((client) => client.received);
      await until(() => load.clients.every((client, at) => client.received > received[at]), "endless ones to go on");
      const visits = await load.visits.stop();
      load.faulty.signal("SIGTERM");
      await until(() => load.sides.every(({ end }) => end !== undefined), "all ends");
      const status = await load.faulty.ended();
      requireNoFalseEnd(program, load.sides, visits);
      return `${figures(load, visits)}; ${BULK_BYTES / 1e6} MB both ways begun before: ${await bulk}; a client after it: ${later}; exit ${status} after the second one`;
    });

    if (program !== "C") {
      scenario(`signals/SIGTERM and --drain-timeout ${on} ${program}`, async (trial) => {
        const load = await underLoad(trial, { program, on, flags: ["--drain-timeout", "1"] });
        const begun = performance.now();
        load.faulty.signal("SIGTERM");
        const status = await load.faulty.ended();
        const ms = performance.now() - begun;
        await until(() => load.sides.every(({ end }) => end !== undefined), "all ends");
        const visits = await load.visits.stop();
        requireNoFalseEnd(program, load.sides, visits);
        assert.equal(status, 1);
        assert.ok(ms >= 990, `it ended after ${ms} ms`);
        assert.equal(load.faulty.count(/reset \d+ open connections? after 1 s/), 1, load.faulty.log);
        return `${figures(load, visits)}; exit ${status} after ${ms.toFixed(0)} ms`;
      });
    }

    scenario(`signals/SIGHUP ${on} ${program}`, async (trial) => {
      const load = await underLoad(trial, { program, on });
      const threads = load.faulty.threads;
      for (let count = 0; count < HANGUPS && !load.faulty.isGone; count += 1) {
        load.faulty.signal("SIGHUP");
        await sleep(20);
      }
      if (program === "C") {
        await until(() => load.sides.every(({ end }) => end !== undefined), "all ends");
        const visits = await load.visits.stop();
        return `it died at the first one; ${figures(load, visits)}`;
      }
      await load.faulty.said(/SIGHUP: reloaded/, 1);
      const visits = await load.visits.stop();
      assert.deepEqual(Object.keys(visits), ["whole"], JSON.stringify(visits));
      assert.ok(
        load.sides.every(({ end, wrongAt }) => end === undefined && wrongAt === undefined),
        "a connection ended",
      );
      assert.ok(load.faulty.threads <= threads + 2, `${load.faulty.threads} threads, ${threads} before`);
      const text = figures(load, visits);
      for (const client of load.clients) client.destroy();
      return `${HANGUPS} signals, ${load.faulty.count(/SIGHUP: reloaded/)} lines of them; ${text}`;
    });

    scenario(`signals/SIGSTOP for ${STOP_SECONDS} s ${on} ${program}`, async (trial) => {
      const load = await underLoad(trial, { program, on });
      const visitsBefore = await load.visits.stop();
      load.faulty.signal("SIGSTOP");
      await sleep(STOP_SECONDS * 1_000 - 2_000);
      // New clients wait in the near end's backlog, and are served.
      const late = Array.from({ length: 10 }, () => visit(load.near.port, 5_000));
      await sleep(2_000);
      assert.ok(
        load.sides.every(({ end }) => end === undefined),
        "nothing ends meanwhile",
      );
      const received = load.sides.map((side) => side.received);
      load.faulty.signal("SIGCONT");
      await until(() => load.sides.every((side, at) => side.received > received[at] + 100_000), "all to go on");
      const served = tally(await Promise.all(late));
      assert.ok(
        load.sides.every(({ wrongAt }) => wrongAt === undefined),
        "a wrong byte",
      );
      if (program !== "C") assert.equal(served, "10 × whole");
      const text = `${ENDLESS} endless connections went on; 10 clients of the last 2 s: ${served}; visits before ${JSON.stringify(visitsBefore)}`;
      for (const client of load.clients) client.destroy();
      if (program !== "C") await untilDescriptors(load.faulty, 60);
      return text;
    });
  }
}
