// Very many connections, and very many bytes.

import { setTimeout as sleep } from "node:timers/promises";
import { LOAD, settle, startPair } from "../../support/pairs.mjs";
import { run } from "../../support/processes.mjs";

const LOAD_MS = 3_600_000;
const unlimited = ["-n", "0", "-o", "60"];

export const scenarios = {
  connections: { run: (pair, options) => connections(pair, options, []) },
  "connections-f": { run: (pair, options) => connections(pair, options, ["-f"]) },
  flood: { run: (pair, options) => flood(pair, options, unlimited) },
  "flood-100": { run: (pair, options) => flood(pair, options, []) },
  bulk: { run: bulk },
  tiny: { run: tiny },
};

/** Runs the load program through a pair. @returns Its output. */
export async function load(pair, work, ...args) {
  const command = [LOAD, work, `127.0.0.1:${pair.ports.near}`, `127.0.0.1:${pair.ports.far}`, ...args.map(String)];
  return JSON.parse(await run(command, { timeoutMs: LOAD_MS, manyDescriptors: true }));
}

/** How the connections of each of our ends ended: all `closed`, including the warm-up. */
export async function allClosed(pair, count) {
  for (const one of pair.ends) {
    const counts = await settle(one);
    if (counts === undefined) continue;
    const { accepted, reasons } = counts;
    if (accepted !== count + 1 || reasons.closed !== accepted) {
      throw new Error(`of ${count + 1} connections the ${one.name} end says ${JSON.stringify(counts)}`);
    }
  }
}

export function nothingFailed({ failed }) {
  if (Object.keys(failed).length > 0) throw new Error(`clients saw ${JSON.stringify(failed)}`);
}

const megabytes = (pair) => pair.ends.map((one) => one.memory().toFixed(0)).join(" and ");

/** 10,000 connections, or 200,000, through one pair: no failure, and no growth between the first and the last. */
async function connections(kinds, { isLong }, flags) {
  const pair = await startPair(kinds, { flags: [...flags, ...unlimited] });
  try {
    const at = [];
    let count = 0;
    let bytes = 0;
    for (const goal of isLong ? [10_000, 100_000, 200_000] : [2_000, 10_000]) {
      const result = await load(pair, "churn", goal - count, 16, 8_000);
      nothingFailed(result);
      bytes += result.bytes;
      count = goal;
      await sleep(1_000);
      at.push(`${megabytes(pair)} MB after ${goal.toLocaleString("en")}`);
    }
    await allClosed(pair, count);
    return `${count.toLocaleString("en")} connections, ${bytes} bytes each way, 0 failures; ${at.join(", ")}`;
  } finally {
    await pair.stop();
  }
}

/** 1,000 clients that connect at the same moment, each with a full handshake; also with the usual `-n 100`. */
async function flood(kinds, { isLong }, flags) {
  const pair = await startPair(kinds, { flags });
  try {
    const count = isLong ? 10_000 : 2_000;
    const result = await load(pair, "churn", count, 1_000, 100);
    nothingFailed(result);
    await allClosed(pair, count);
    return `${count.toLocaleString("en")} handshakes, 1,000 at once, 0 failures`;
  } finally {
    await pair.stop();
  }
}

/** Gigabytes each way, both at once at full speed, every byte compared. */
async function bulk(kinds, { isLong }) {
  const pair = await startPair(kinds);
  try {
    const each = isLong ? 4_000_000_000 : 500_000_000;
    const { bytes } = await load(pair, "bulk", each, 1, "both");
    const parallel = await load(pair, "bulk", each / 10, 8, "both");
    await allClosed(pair, 9);
    return `${(bytes / 1e9).toFixed(1)} GB both ways at once over one connection, ${(parallel.bytes / 1e9).toFixed(1)} GB over eight, all compared`;
  } finally {
    await pair.stop();
  }
}

/** One system call and one segment per byte, both ways. */
async function tiny(kinds, { isLong }) {
  const pair = await startPair(kinds);
  try {
    const { writes } = await load(pair, "tiny", isLong ? 1_000_000 : 100_000, 2);
    await allClosed(pair, 2);
    return `${writes.toLocaleString("en")} writes of one byte, all compared`;
  } finally {
    await pair.stop();
  }
}
