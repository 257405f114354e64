// Ways to cut open connections, and who notices when.

import { setTimeout as sleep } from "node:timers/promises";
import { ADDRESSES, TwoHosts } from "./two-hosts.mjs";

const MINUTE = 60;

/** `seconds` is the longest wait; a trial ends sooner once all connections have ended on both hosts. */
export const CUTS = {
  "down-10s": {
    seconds: 40,
    outlives: true,
    begin: (hosts) => hosts.both({ down: true }),
    after: { seconds: 10, act: (hosts) => hosts.both({}) },
  },
  "down-10min": {
    seconds: 13 * MINUTE,
    begin: (hosts) => hosts.both({ down: true }),
    after: { seconds: 10 * MINUTE, act: (hosts) => hosts.both({}) },
  },
  cut: { seconds: 20 * MINUTE, isLast: true, begin: (hosts) => hosts.both({ down: true }) },
  "cut-forward": {
    seconds: 20 * MINUTE,
    isLast: true,
    begin: (hosts) => hosts.link({ set: { forward: { down: true } } }),
  },
  "cut-reverse": {
    seconds: 20 * MINUTE,
    isLast: true,
    begin: (hosts) => hosts.link({ set: { reverse: { down: true } } }),
  },
  "nat-forgets": {
    seconds: 20 * MINUTE,
    prepare: (hosts) => hosts.link({ nat: "masquerade" }),
    begin: (hosts) => hosts.link({ nat: "forget" }),
  },
  vanishes: { seconds: 20 * MINUTE, isLast: true, begin: (hosts) => hosts.run("far", "ip", "link", "delete", "link0") },
  reboots: {
    seconds: 3 * MINUTE,
    async begin(hosts) {
      await hosts.both({ down: true });
      await hosts.stopEnd("far");
    },
    after: {
      seconds: 5,
      async act(hosts) {
        await hosts.startEnd("far");
        await hosts.both({ connections: "known" });
      },
    },
  },
  moves: {
    seconds: 20 * MINUTE,
    options: ({ far }) => ({ names: { "far.example": far }, target: "far.example:2002", nearFlags: ["-r", "2"] }),
    async begin(hosts) {
      const { near, far, moved, bits } = hosts.addresses;
      await hosts.run("far", "ip", "address", "add", `${moved}/${bits}`, "dev", "link0");
      await hosts.run("far", "ip", "address", "delete", `${far}/${bits === 128 ? 64 : 24}`, "dev", "link0");
      await hosts.run("far", "ip", "route", "replace", near, "dev", "link0");
      await hosts.name({ "far.example": moved });
    },
  },
};

const IDS = ["idle", "busy", "asking"];

/** Cuts one pair. @returns What each program saw, after how many seconds, and the log from then on. */
export async function cutPair(
  pair,
  name,
  { seconds, outlives = false, isLast = false, options, prepare, begin, after },
) {
  const hosts = await new TwoHosts(pair, options?.(ADDRESSES[TwoHosts.family])).start();
  try {
    await prepare?.(hosts);
    hosts.open({ id: "idle", purpose: "idle" });
    hosts.open({ id: "busy", purpose: "busy" });
    hosts.ask({ id: "asking", count: 1e9, everyMs: 500 });
    await sleep(3_000);
    const before = await hosts.look("near");
    const logged = hosts.logs.length;
    const begun = Date.now();
    await begin(hosts);
    const acted = after && sleep(after.seconds * 1_000).then(() => after.act(hosts));
    const sides = ["near", "far"].flatMap((host) => IDS.map((id) => ({ host, id })));
    const sinceThen = (at) => Math.round((at - begun) / 100) / 10;
    const limit = begun + seconds * 1_000;
    const firstNew = acted === undefined && !isLast ? await newConnection(hosts, "new at once") : undefined;
    const ends = await Promise.all(
      sides.map(async ({ host, id }) => {
        const state = await hosts.ended(host, id, limit - Date.now());
        return state && { host, id, end: state.end, after: sinceThen(state.endedAt), wrongAt: state.wrongAt };
      }),
    );
    await acted;
    const [near, far] = [await hosts.look("near"), await hosts.look("far")];
    const wrong = [...near.values(), ...far.values()].filter(({ wrongAt }) => typeof wrongAt === "number");
    const result = {
      scenario: name,
      pair,
      ends: Object.fromEntries(
        sides.map(({ host, id }, index) => [
          `${host} ${id}`,
          ends[index] ? `${ends[index].end} ${ends[index].after} s` : "goes on",
        ]),
      ),
      wrongBytes: wrong.length,
      movedOn: (near.get("busy")?.received ?? 0) > (before.get("busy")?.received ?? 0),
      log: hosts.logs.slice(logged).map(({ at, host, line }) => `${host} +${sinceThen(at)} s ${line}`),
      firstNew,
    };
    if (!isLast) result.new = await newConnection(hosts, "new");
    const survivors = sides.filter((_, index) => ends[index] === undefined);
    for (const host of ["near", "far"]) hosts.order(host, "drop");
    for (let tries = 0; tries < 50 && !settled(hosts, survivors, isLast); tries += 1) await sleep(100);
    result.descriptors = { atFirst: hosts.descriptorsAtFirst, atLast: hosts.descriptors() };
    result.link = await hosts.link({});
    const failures = [];
    if (wrong.length > 0) failures.push("wrong bytes");
    if (outlives && ends.some((end) => end !== undefined)) failures.push("a connection ended");
    if (!isLast && result.new?.end !== "end") failures.push("no new connection");
    result.failures = failures;
    return result;
  } finally {
    hosts.end();
  }
}

function settled(hosts) {
  return String(hosts.descriptors()) === String(hosts.descriptorsAtFirst);
}

async function newConnection(hosts, id) {
  const begun = Date.now();
  hosts.ask({ id, count: 3 });
  const state = await hosts.ended("near", id, 30_000);
  return { end: state?.end ?? "silent", answers: state?.answers, ms: (state?.endedAt ?? Date.now()) - begun };
}
