// Traffic over bad links: both directions of a transfer at once, every byte compared, with questions beside it;
// handshakes; latency and throughput of a tunnel, and what it buffers.

import { setTimeout as sleep } from "node:timers/promises";
import { KEEP_ALIVE } from "../../dist/net/native-socket.js";
import { TwoHosts, until } from "./two-hosts.mjs";

const MEGABYTE = 1_000_000;

/** What the link does, both ways. */
export const QUALITIES = {
  "loss-1": { link: { loss: 0.01, delayMs: 5 } },
  "loss-10": { link: { loss: 0.1, delayMs: 5 } },
  "loss-30": { link: { loss: 0.3, delayMs: 2 }, megabytes: 0.2 },
  "delay-50": { link: { delayMs: 50, jitterMs: 10 } },
  "delay-300": { link: { delayMs: 300, jitterMs: 100 } },
  reorder: { link: { delayMs: 5, reorder: 0.25, reorderMs: 10 } },
  duplicate: { link: { delayMs: 5, duplicate: 0.3 } },
  corrupt: { link: { delayMs: 5, corrupt: 0.05 } },
  "mtu-576": { link: { delayMs: 5, mtu: 576, tellsMtu: true }, family: 4 },
  // The least that IPv6 allows.
  "mtu-1280": { link: { delayMs: 5, mtu: 1_280, tellsMtu: true } },
  "mtu-black-hole": { link: { delayMs: 5, mtu: 1_400 }, mayStall: true, seconds: 180 },
  "mtu-black-hole-probed": {
    link: { delayMs: 5, mtu: 1_400 },
    async prepare(hosts) {
      for (const host of ["near", "far"]) await hosts.run(host, "sysctl", "-qw", "net.ipv4.tcp_mtu_probing=1");
    },
  },
  "rate-1M": { link: { delayMs: 5, bitsASecond: 1e6, queueBytes: 64_000 }, megabytes: 0.5 },
  "rate-1M-deep": { link: { delayMs: 5, bitsASecond: 1e6, queueBytes: 1_000_000 }, megabytes: 0.5 },
};

/** Every byte of a transfer and of a conversation beside it; then checks that nothing is left open. */
export async function qualityOf(
  pair,
  name,
  { link, megabytes = 2, mayStall = false, seconds = 240, prepare, afterwards },
) {
  const hosts = await new TwoHosts(pair).start();
  try {
    await prepare?.(hosts);
    await hosts.both(link);
    const begun = Date.now();
    const [forward, reverse] = [megabytes * MEGABYTE, megabytes * 2 * MEGABYTE];
    // The near program half-closes long before it has received everything.
    hosts.open({ id: "transfer", purpose: "transfer", forward, reverse });
    hosts.ask({ id: "asking", count: 40, everyMs: 20 });
    const near = await hosts.ended("near", "transfer", seconds * 1_000);
    const far = await hosts.ended("far", "transfer", near === undefined ? 1 : 60_000);
    const asking = await hosts.ended("near", "asking", near === undefined ? 1 : 60_000);
    const took = (Date.now() - begun) / 1_000;
    const [nearNow, farNow] = [
      near ?? (await hosts.look("near")).get("transfer"),
      far ?? (await hosts.look("far")).get("transfer"),
    ];
    const failures = [];
    const isWhole = near?.received === reverse && far?.received === forward && near.end === "end" && far.end === "end";
    if (!isWhole && !mayStall) failures.push("the transfer is not whole");
    if (asking?.answers !== 40 && !mayStall) failures.push("a question was not answered");
    if (typeof nearNow?.wrongAt === "number" || typeof farNow?.wrongAt === "number") failures.push("wrong bytes");
    if (afterwards !== undefined) failures.push(...(await afterwards(hosts)));
    const times = (asking?.times ?? []).toSorted((a, b) => a - b);
    for (const host of ["near", "far"]) hosts.order(host, "drop");
    const back = await descriptorsBack(hosts);
    failures.push(...back.failures);
    return {
      scenario: name,
      pair,
      failures,
      isWhole,
      seconds: took,
      received: [farNow?.received, nearNow?.received],
      ends: [near?.end, far?.end],
      descriptorsBackAfter: back.seconds,
      openInC: back.openInC,
      questionMs: { median: times[20], most: times.at(-1) },
      log: hosts.logs.filter(({ line }) => !line.includes("listening")).map(({ host, line }) => `${host} ${line}`),
      link: await hosts.link({}),
    };
  } finally {
    hosts.end();
  }
}

/**
 * How long our end may keep a connection whose peer is gone: a reset is sent once, and where the link loses it,
 * keep-alive and the check of unacknowledged data notice after two minutes; the check runs every 10 s. The system of a
 * C end that closes with data to send retransmits for a while, at intervals of up to two minutes, and answers
 * keep-alive meanwhile.
 */
const DEAD_PEER_MS = (KEEP_ALIVE.idleSeconds + KEEP_ALIVE.intervalSeconds * KEEP_ALIVE.probes + 10) * 1_000;
const RETRANSMISSION_MS = 120_000;
/** How long to wait before descriptors that a C end has open, too, count as an open connection. */
const SETTLE_MS = 10_000;

/**
 * Waits until our ends have as many descriptors as at first. A C end whose data cannot get through does not read from
 * its client, and so does not notice that the client has gone: it keeps the connection for up to a quarter of an hour,
 * and its system answers our keep-alive. Such a connection is open, not leaked.
 *
 * @returns How long that took, how many connections a C end still has open, and a failure if ours has more.
 */
async function descriptorsBack(hosts) {
  const started = performance.now();
  const first = hosts.descriptorsAtFirst;
  if (first === undefined) return { seconds: 0, openInC: 0, failures: [] };
  const isOurs = hosts.pair.split("-").map((implementation) => implementation === "ours");
  for (;;) {
    const now = hosts.descriptors();
    const more = now.map((count, index) => Math.max(0, count - first[index]));
    const ours = Math.max(...more.filter((_, index) => isOurs[index]), 0);
    const inC = Math.max(...more.filter((_, index) => !isOurs[index]), 0);
    const waitedMs = performance.now() - started;
    const back = { seconds: Math.round(waitedMs / 100) / 10, openInC: Math.ceil(inC / 2), failures: [] };
    if (ours === 0 || (ours <= inC && waitedMs > SETTLE_MS)) return back;
    if (waitedMs > DEAD_PEER_MS + RETRANSMISSION_MS) {
      return { ...back, failures: [`descriptors: ${first} before, ${now} after ${back.seconds} s`] };
    }
    await sleep(100);
  }
}

/** Packets with corrected checksums: only the MAC can tell. */
export async function forged(pair, name, { seconds = 60 } = {}) {
  const hosts = await new TwoHosts(pair).start();
  try {
    await hosts.both({ forge: 0.02 });
    const ids = Array.from({ length: 10 }, (_, index) => `transfer ${index}`);
    for (const id of ids) hosts.open({ id, purpose: "transfer", forward: MEGABYTE, reverse: MEGABYTE });
    const ends = await Promise.all(ids.map((id) => hosts.ended("near", id, seconds * 1_000)));
    const [near, far] = [await hosts.look("near"), await hosts.look("far")];
    const all = [...near.values(), ...far.values()];
    const wrong = all.filter(({ wrongAt }) => typeof wrongAt === "number").length;
    const whole = ends.filter((end) => end?.end === "end" && end.received === MEGABYTE).length;
    // An orderly end means that everything arrived; C's end cuts a connection so that it looks like one.
    const isOurs = (role) => pair.split("-")[role === "client" ? 0 : 1] === "ours";
    const cut = all.filter(({ end, received }) => end === "end" && received < MEGABYTE);
    const failures = [];
    if (wrong > 0 && pair !== "plain") failures.push(`wrong bytes in ${wrong}`);
    const cutByUs = cut.filter(({ role }) => isOurs(role)).length;
    if (cutByUs > 0 && !pair.includes("C")) failures.push(`${cutByUs} ends seemed orderly`);
    for (const host of ["near", "far"]) hosts.order(host, "drop");
    const back = await descriptorsBack(hosts);
    failures.push(...back.failures);
    const reasons = {};
    for (const { host, line } of hosts.logs) {
      const [, reason] = /^spiped: connection from \S+: ([^(]*?)(?: \[[^:]*:\d+)?(?: \(|$)/.exec(line) ?? [];
      if (reason !== undefined)
        reasons[`${host}: ${reason.replace(/ \[[\d.]+\]:\d+/, "")}`] =
          (reasons[`${host}: ${reason.replace(/ \[[\d.]+\]:\d+/, "")}`] ?? 0) + 1;
    }
    return {
      scenario: name,
      pair,
      failures,
      wrong,
      whole,
      seemedOrderly: cut.length,
      ends: ends.map((end) => end?.end ?? "none"),
      descriptorsBackAfter: back.seconds,
      openInC: back.openInC,
      reasons,
      link: await hosts.link({}),
    };
  } finally {
    hosts.end();
  }
}

/** A little of everything, for the tests: a bad link, then one with forged packets that only the MAC can tell. */
export async function short(pair, name) {
  const link = { delayMs: 2, loss: 0.03, duplicate: 0.1, reorder: 0.1, reorderMs: 3, corrupt: 0.02 };
  return qualityOf(pair, name, {
    link,
    megabytes: 0.1,
    async afterwards(hosts) {
      await hosts.both({});
      hosts.ask({ id: "forged", count: 2, everyMs: 500 });
      await until(async () => (await hosts.look("near")).get("forged").answers === 1, "an answer");
      await hosts.link({ set: { forward: { forge: 1 } } });
      const { end, answers } = await hosts.ended("near", "forged");
      const said = () =>
        hosts.logs.some(({ host, line }) => host === "far" && line.includes("packet rejected: wrong packet MAC"));
      await until(said, "the end that opens packets to say so", 5_000).catch(() => undefined);
      // C's ends close the connection after a forged packet, which looks like an orderly end.
      if (answers === 1 && (pair.includes("C") || (end === "ECONNRESET" && said()))) return [];
      return [`a forged packet: ${end} after ${answers} answers`];
    },
  });
}

/** Connections over a lossy link, ten at a time, with -o 5. */
export async function handshakes(pair, name, { loss }) {
  const hosts = await new TwoHosts(pair, {
    nearFlags: ["-o", "5", "-n", "0"],
    farFlags: ["-o", "5", "-n", "0"],
  }).start();
  try {
    await hosts.both({ loss, delayMs: 20 });
    const count = 100;
    const results = [];
    const ids = Array.from({ length: count }, (_, index) => `handshake ${index}`);
    const worker = async () => {
      for (let id = ids.shift(); id !== undefined; id = ids.shift()) {
        hosts.ask({ id, count: 1 });
        results.push(await hosts.ended("near", id, 60_000));
      }
    };
    await Promise.all(Array.from({ length: 10 }, worker));
    const answered = results.filter((state) => state?.answers === 1);
    const times = answered.map(({ times: [first] }) => first).toSorted((a, b) => a - b);
    const failures = [];
    // The system may retransmit an established connection's question for more than a minute: nothing has failed yet.
    const stillOpen = results.filter((state) => state === undefined).length;
    const logged = () => hosts.logs.filter(({ host, line }) => host === "near" && /connection from/.test(line)).length;
    const isAllTold = () => answered.length + stillOpen + logged() >= count;
    // The last message may still be on its way.
    for (let tries = 0; tries < 50 && !isAllTold(); tries += 1) await sleep(100);
    if (!isAllTold() && pair.startsWith("ours")) {
      failures.push("a failure was not logged");
    }
    for (const host of ["near", "far"]) hosts.order(host, "drop");
    await hosts.both({});
    const back = await descriptorsBack(hosts);
    failures.push(...back.failures);
    const log = hosts.logs.filter(({ line }) => !line.includes("listening")).map(({ host, line }) => `${host} ${line}`);
    return {
      scenario: name,
      pair,
      failures,
      answered: answered.length,
      stillOpen,
      of: count,
      descriptorsBackAfter: back.seconds,
      openInC: back.openInC,
      firstAnswerMs: { median: times[times.length >> 1], most: times.at(-1) },
      log,
    };
  } finally {
    hosts.end();
  }
}

/** Round trips: until the first answer, and of each later question. */
export async function latency(pair, name) {
  const hosts = await new TwoHosts(pair).start();
  try {
    const roundTripMs = 100;
    await hosts.both({ delayMs: roundTripMs / 2 });
    const [firsts, later] = [[], []];
    for (let index = 0; index < 15; index += 1) {
      hosts.ask({ id: `asking ${index}`, count: 10 });
      const { times } = await hosts.ended("near", `asking ${index}`);
      firsts.push(times[0]);
      later.push(...times.slice(1));
    }
    // A delayed acknowledgment would take at least 40 ms; a busy machine delays all but the best.
    const failures = best(later) > roundTripMs + 30 ? ["a question takes more than a round trip"] : [];
    const figures = (values) => ({ best: best(values), median: middle(values) });
    return { scenario: name, pair, failures, roundTripMs, firstMs: figures(firsts), laterMs: figures(later) };
  } finally {
    hosts.end();
  }
}

function middle(values) {
  return values.toSorted((a, b) => a - b)[values.length >> 1];
}

function best(values) {
  return Math.min(...values);
}

/**
 * One way over a long fat link: as much in flight as with 1 Gbit/s and 50 ms, at a speed that a busy machine can keep
 * up.
 */
export async function throughput(pair, name, { megabytes = 100 } = {}) {
  const hosts = await new TwoHosts(pair, { mtu: 9_000 }).start();
  try {
    await hosts.both({ delayMs: 125, bitsASecond: 200e6, queueBytes: 8 * MEGABYTE });
    hosts.open({ id: "transfer", purpose: "transfer", forward: megabytes * MEGABYTE, reverse: 0 });
    const arrived = async () => (await hosts.look("far")).get("transfer")?.received ?? 0;
    // The best, since a busy machine slows the others down, and every start is slow.
    let megabitsASecond = 0;
    for (let last = { bytes: 0, at: performance.now() }; last.bytes < megabytes * MEGABYTE; ) {
      await sleep(3_000);
      const now = { bytes: await arrived(), at: performance.now() };
      const speed = Math.round(((now.bytes - last.bytes) * 8) / (now.at - last.at) / 1_000);
      megabitsASecond = Math.max(megabitsASecond, speed);
      last = now;
    }
    const state = await hosts.ended("far", "transfer");
    const failures = state?.received === megabytes * MEGABYTE && state.wrongAt === null ? [] : ["not whole"];
    return { scenario: name, pair, failures, megabitsASecond, link: await hosts.link({}) };
  } finally {
    hosts.end();
  }
}

/** How much is buffered between the programs when the far link is slow, in both systems and processes. */
export async function held(pair, name) {
  const hosts = await new TwoHosts(pair).start();
  try {
    await hosts.both({ delayMs: 25, bitsASecond: 1e6, queueBytes: 64_000 });
    hosts.open({ id: "busy", purpose: "transfer", forward: 64 * MEGABYTE, reverse: 0 });
    await sleep(15_000);
    const [near, far] = [await hosts.look("near"), await hosts.look("far")];
    const between = near.get("busy").sent - (far.get("busy")?.received ?? 0);
    return {
      scenario: name,
      pair,
      failures: [],
      between,
      queues: { near: hosts.queues("near"), far: hosts.queues("far") },
    };
  } finally {
    hosts.end();
  }
}
