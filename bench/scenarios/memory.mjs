// Memory of each end: with idle connections, and with connections whose receiver reads nothing.

import { createInterface } from "node:readline";
import { setTimeout as sleep } from "node:timers/promises";
import { descriptorLimit, end, start } from "../../scripts/support/processes.mjs";
import { LOAD, startPair } from "../pair.mjs";
import { many } from "./figures.mjs";

/** Time limit of one step: opening or filling many connections, or reading everything they have buffered. */
const STEP_MS = 120_000;
/** Time limit for an end's memory to settle. */
const SETTLE_MS = 1_000;
const ENDS = [
  ["near", "-e end"],
  ["far", "-d end"],
];

/** A growing number of connections, each used once. */
export function idle(counts, { kinds, atMostRounds }) {
  const possible = counts.filter(hasDescriptorsFor);
  const figures = {};
  for (const count of [0, ...possible]) {
    const title = count === 0 ? "memory at rest" : `memory with ${many(count, "idle connection")}`;
    for (const [end, name] of [...ENDS, ["larger", "larger end"]]) {
      figures[`${end}Megabytes${count}`] = { title: `${title}, ${name}`, unit: "MB", digits: 1, more: false };
    }
  }
  return {
    id: "idle",
    kinds,
    atMostRounds,
    figures,
    run: (kind) =>
      withHeldConnections(kind, "idle", possible, async ({ resident, next }) => {
        const result = {};
        for (const count of [0, ...possible]) {
          if (count > 0) await next();
          const { near, far } = await resident();
          result[`nearMegabytes${count}`] = near;
          result[`farMegabytes${count}`] = far;
          result[`largerMegabytes${count}`] = Math.max(near, far);
        }
        return result;
      }),
  };
}

/** Connections that are full from the receiver back to the sender. Then everything is read, compared and closed. */
export function stalledReaders(counts, { kinds, atMostRounds }) {
  const possible = counts.filter(hasDescriptorsFor);
  const figures = {};
  for (const count of possible) {
    const title = many(count, "stalled reader");
    for (const [end, name] of [...ENDS, ["larger", "larger end"]]) {
      figures[`${end}KilobytesEach${count}`] = { title: `${title}: each, ${name}`, unit: "kB", digits: 0, more: false };
    }
    figures[`largerMegabytes${count}`] = { title: `${title}: all, larger end`, unit: "MB", digits: 1, more: false };
  }
  figures.largerMegabytesAfter = {
    title: "what stays of it when all has been read and closed, larger end",
    unit: "MB",
    digits: 1,
    more: false,
  };
  return {
    id: "stalled-readers",
    kinds,
    atMostRounds,
    figures,
    run: (kind) =>
      withHeldConnections(kind, "stalled", possible, async ({ resident, next }) => {
        const before = await resident();
        const grown = async () => {
          const now = await resident();
          return { near: now.near - before.near, far: now.far - before.far };
        };
        const result = {};
        for (const count of possible) {
          await next();
          const { near, far } = await grown();
          const larger = Math.max(near, far);
          result[`nearKilobytesEach${count}`] = (near / count) * 1_000;
          result[`farKilobytesEach${count}`] = (far / count) * 1_000;
          result[`largerKilobytesEach${count}`] = (larger / count) * 1_000;
          result[`largerMegabytes${count}`] = larger;
        }
        await next();
        const { near, far } = await grown();
        return { ...result, largerMegabytesAfter: Math.max(near, far) };
      }),
  };
}

/**
 * Runs `work` with a pair and a load that takes its next step each time it is told to.
 *
 * @param work - Receives `next`, which makes the load take a step, and `resident`, the settled memory of both ends in MB.
 */
async function withHeldConnections(kind, load, counts, work) {
  const pair = await startPair(kind, { flags: ["-n", "0"], manyDescriptors: true });
  const process = start([LOAD, load, pair.near, pair.far, ...counts.map(String)], {
    stdio: ["pipe", "pipe", "pipe"],
    manyDescriptors: true,
  });
  // If the load has died, its missing answer reports it.
  process.stdin.on("error", () => {});
  const answers = createInterface({ input: process.stdout })[Symbol.asyncIterator]();
  try {
    return await work({
      async next() {
        process.stdin.write("\n");
        const late = sleep(STEP_MS, { late: true }, { ref: false });
        const { done, late: isLate } = await Promise.race([answers.next(), late]);
        if (isLate) throw new Error(`${load}: a step takes more than ${STEP_MS / 1_000} s`);
        if (done) throw new Error(`${load}: ${process.failure.trim()}`);
      },
      async resident() {
        await sleep(SETTLE_MS);
        const { near, far } = pair.usage();
        return { near: near.residentMegabytes, far: far.residentMegabytes };
      },
    });
  } finally {
    await Promise.all([end(process), pair.stop()]);
  }
}

/** Each connection takes two sockets in each end and in the load. */
function hasDescriptorsFor(count) {
  return count * 2 + 100 <= descriptorLimit();
}
