// What is measured: each scenario runs once a round for each of its kinds and gives one value for each of its figures.

import { once } from "node:events";
import { createConnection } from "node:net";
import { createInterface } from "node:readline";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { LOAD, measure, startPair } from "./pair.mjs";
import { descriptorLimit, end, freePort, run, start } from "./processes.mjs";

const PAIRS = ["ours", "c"];
const ALL = ["ours", "c", "stunnel", "ssh", "socat", "direct"];
const FRAMING = fileURLToPath(new URL("framing.mjs", import.meta.url));
const STARTS = 4;
/** What goes through a pair before it is measured. (The load program warms ping-pong up itself.) */
const WARM_UP = { bytes: 40e6, connections: 100, lines: 20_000 };

/**
 * The scenarios of a run. A figure has a title, a unit, the digits that are shown, and whether `more` of it is better.
 *
 * @param quick - Whether to leave out what takes long, and to measure the rest with less.
 */
export function scenarios(quick) {
  const peers = quick ? PAIRS : ALL;
  const all = [
    bulk(1, "forward", { bytes: quick ? 250e6 : 1_000e6, kinds: ALL }),
    bulk(1, "reverse", { bytes: 600e6, full: true }),
    bulk(1, "both", { bytes: 300e6, full: true }),
    bulk(8, "forward", { bytes: 75e6, kinds: ALL, full: true }),
    bulk(8, "reverse", { bytes: 75e6, full: true }),
    bulk(8, "both", { bytes: quick ? 15e6 : 40e6 }),
    handshakes(1, [], { count: quick ? 150 : 500, kinds: peers }),
    handshakes(32, [], { count: quick ? 600 : 2_000, kinds: ALL }),
    handshakes(1, ["-f"], { count: quick ? 150 : 500 }),
    handshakes(32, ["-f"], { count: quick ? 600 : 2_000 }),
    pingPong(64, { count: quick ? 2_000 : 5_000, kinds: ALL }),
    pingPong(16_384, { count: 1_000, kinds: peers }),
    lines({ count: quick ? 100_000 : 300_000 }),
    steadyLines({ rate: 10_000, seconds: quick ? 1 : 2 }),
    idle(quick ? [1_000] : [1_000, 5_000]),
    startToListening(),
    framing(),
  ];
  return all.filter((scenario) => !quick || !scenario.full);
}

function bulk(connections, direction, { bytes, kinds = PAIRS, full }) {
  const title = `bulk, ${many(connections, "connection")}, ${direction === "both" ? "both ways" : direction}`;
  return {
    id: `bulk-${connections}-${direction}`,
    kinds,
    full,
    figures: {
      megabytesPerSecond: { title, unit: "MB/s", digits: 0, more: true },
      ...cpuFigures(title, "CPU s/GB", 2),
      ...(kinds === ALL && {
        peakMegabytes: { title: `${title}: peak memory of the larger end`, unit: "MB", digits: 1, more: false },
      }),
    },
    async run(kind) {
      const warmUp = [WARM_UP.bytes / connections, connections, direction];
      const result = await measure(kind, "bulk", [bytes, connections, direction], { warmUp });
      const { megabytesPerSecond, peakMegabytes, cpuSeconds } = result;
      return { megabytesPerSecond, peakMegabytes, ...cpuPer(cpuSeconds, result.bytes / 1e9) };
    },
  };
}

function handshakes(parallel, flags, { count, kinds = PAIRS }) {
  const title = `new connections, ${parallel} at once${flags.length > 0 ? ", -f" : ""}`;
  return {
    id: `handshakes-${parallel}${flags.length > 0 ? "-without-forward-secrecy" : ""}`,
    kinds,
    figures: {
      connectionsPerSecond: { title, unit: "/s", digits: 0, more: true },
      medianMicros: { title: `${title}: median`, unit: "µs", digits: 0, more: false },
      p99Micros: { title: `${title}: 99th percentile`, unit: "µs", digits: 0, more: false },
      ...cpuFigures(title, "CPU ms each", 2),
    },
    async run(kind) {
      const { cpuSeconds, ...result } = await measure(kind, "handshakes", [count, parallel], {
        flags,
        warmUp: [WARM_UP.connections, parallel],
      });
      return { ...result, ...cpuPer(cpuSeconds, count / 1_000) };
    },
  };
}

function pingPong(size, { count, kinds }) {
  const title = `ping-pong of ${size < 1_024 ? `${size} bytes` : `${size / 1_024} KiB`}`;
  return {
    id: `ping-pong-${size}`,
    kinds,
    figures: {
      medianMicros: { title: `${title}: median`, unit: "µs", digits: 0, more: false },
      p99Micros: { title: `${title}: 99th percentile`, unit: "µs", digits: 0, more: false },
    },
    run: (kind) => measure(kind, "pingpong", [size, count]),
  };
}

function lines({ count }) {
  const title = "lines of 80 bytes, one by one, at full speed";
  return {
    id: "lines-full-speed",
    kinds: [...PAIRS, "direct"],
    figures: {
      linesPerSecond: { title, unit: "/s", digits: 0, more: true },
      ...cpuFigures(title, "CPU s per million", 2),
    },
    async run(kind) {
      const { linesPerSecond, cpuSeconds } = await measure(kind, "lines", [count, 0], { warmUp: [WARM_UP.lines, 0] });
      return { linesPerSecond, ...cpuPer(cpuSeconds, count / 1e6) };
    },
  };
}

function steadyLines({ rate, seconds }) {
  const title = `lines of 80 bytes, ${rate.toLocaleString("en")} a second`;
  return {
    id: `lines-${rate}`,
    kinds: [...PAIRS, "direct"],
    figures: {
      medianMicros: { title: `${title}: median age`, unit: "µs", digits: 0, more: false },
      p99Micros: { title: `${title}: 99th percentile`, unit: "µs", digits: 0, more: false },
      ...cpuFigures(title, "CPU s per second", 3),
    },
    async run(kind) {
      const { cpuSeconds, ...result } = await measure(kind, "lines", [rate * seconds, rate], {
        warmUp: [WARM_UP.lines, 0],
      });
      return { ...result, ...cpuPer(cpuSeconds, seconds) };
    },
  };
}

/** Memory of each end with more and more connections that have been used once. */
function idle(counts) {
  const possible = counts.filter((count) => count * 2 + 100 <= descriptorLimit());
  const figures = {};
  for (const count of [0, ...possible]) {
    for (const [end, flag] of [
      ["near", "-e"],
      ["far", "-d"],
    ]) {
      const title = `memory with ${count.toLocaleString("en")} idle connections, ${flag} end`;
      figures[`${end}Megabytes${count}`] = { title, unit: "MB", digits: 1, more: false };
    }
  }
  return {
    id: "idle",
    kinds: PAIRS,
    atMostRounds: 2,
    figures,
    async run(kind) {
      const pair = await startPair(kind, { flags: ["-n", "0"], manyDescriptors: true });
      const load = start([LOAD, "idle", pair.near, pair.far, ...possible.map(String)], {
        stdio: ["pipe", "pipe", "pipe"],
        manyDescriptors: true,
      });
      try {
        const result = {};
        const answers = createInterface({ input: load.stdout })[Symbol.asyncIterator]();
        for (const count of [0, ...possible]) {
          if (count > 0) {
            load.stdin.write("\n");
            const { done } = await answers.next();
            if (done) throw new Error(`idle: ${load.failure.trim()}`);
          }
          await sleep(1_000);
          const usage = pair.usage();
          result[`nearMegabytes${count}`] = usage.near.residentMegabytes;
          result[`farMegabytes${count}`] = usage.far.residentMegabytes;
        }
        return result;
      } finally {
        await Promise.all([end(load), pair.stop()]);
      }
    },
  };
}

/** From the start of the process to the first connection that it takes. */
function startToListening() {
  return {
    id: "start",
    kinds: PAIRS,
    figures: { milliseconds: { title: "start to listening", unit: "ms", digits: 0, more: false } },
    async run(kind) {
      let milliseconds = 0;
      for (let times = 0; times < STARTS; times += 1) {
        const ports = { near: await freePort(), middle: await freePort(), far: await freePort() };
        const command = kind.commands(ports, []).far;
        const begun = performance.now();
        const child = start(command);
        try {
          while (!(await connects(ports.middle))) {
            if (performance.now() - begun > 20_000) throw new Error(`does not listen: ${child.failure.trim()}`);
            await sleep(1);
          }
          milliseconds += (performance.now() - begun) / STARTS;
        } finally {
          await end(child);
        }
      }
      return { milliseconds };
    },
  };
}

async function connects(port) {
  const socket = createConnection(port, "127.0.0.1");
  try {
    await once(socket, "connect");
    return true;
  } catch {
    return false;
  } finally {
    socket.destroy();
  }
}

/** Sealing and opening through the addon, without any socket. */
function framing() {
  const figures = {};
  for (const [size, name] of [
    [1, "1 byte"],
    [1_024, "1 KiB"],
    [8_192, "8 KiB"],
    [65_536, "64 KiB"],
  ]) {
    for (const work of ["seal", "open"]) {
      const digits = size === 1 ? 2 : 0;
      figures[`${work}${size}`] = { title: `${work}, ${name} a call`, unit: "MB/s", digits, more: true };
    }
  }
  return {
    id: "framing",
    kinds: ["ours"],
    figures,
    run: async () => JSON.parse(await run([process.execPath, FRAMING])),
  };
}

function cpuFigures(title, unit, digits) {
  return {
    cpuNear: { title: `${title}: -e end`, unit, digits, more: false },
    cpuFar: { title: `${title}: -d end`, unit, digits, more: false },
    cpuBoth: { title: `${title}: both ends`, unit, digits, more: false },
  };
}

function cpuPer(cpuSeconds, amount) {
  if (cpuSeconds === undefined) return {};
  const [cpuNear, cpuFar] = [cpuSeconds.near / amount, cpuSeconds.far / amount];
  return { cpuNear, cpuFar, cpuBoth: cpuNear + cpuFar };
}

function many(count, what) {
  return `${count} ${what}${count === 1 ? "" : "s"}`;
}
