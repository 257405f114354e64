// Starts both ends of a tunnel and runs the load generator through them.

import { fileURLToPath } from "node:url";
import { end, freePort, listening, run, start, threadSecondsOf, usageOf } from "../scripts/support/processes.mjs";

/** The load generator. */
export const LOAD = fileURLToPath(new URL("load/target/release/spiped-bench-load", import.meta.url));

/** Starts a pair of one kind. `usage` returns what each end, near and far, has used so far; `stop` stops them. */
export async function startPair(kind, { flags = [], manyDescriptors = false } = {}) {
  const far = await freePort();
  if (kind.id === "direct") {
    const address = `127.0.0.1:${far}`;
    return { near: address, far: address, usage: () => undefined, stop: async () => {} };
  }
  const ports = { near: await freePort(), middle: await freePort(), far };
  const commands = kind.commands(ports, flags);
  const ends = [];
  const stop = async () => {
    await Promise.all(ends.map(end));
  };
  try {
    // The near end may connect at once.
    for (const [command, port] of [
      [commands.far, ports.middle],
      [commands.near, ports.near],
    ]) {
      const child = start(command, { manyDescriptors });
      ends.unshift(child);
      await listening(port, child);
    }
  } catch (error) {
    await stop();
    throw error;
  }
  return {
    near: `127.0.0.1:${ports.near}`,
    far: `127.0.0.1:${ports.far}`,
    usage: () => ({ near: usageOfEnd(ends[0].pid), far: usageOfEnd(ends[1].pid) }),
    stop,
  };
}

function usageOfEnd(pid) {
  return { ...usageOf(pid), threads: threadSecondsOf(pid) };
}

/**
 * Runs a load through a fresh pair. Returns the load's results, the CPU seconds of both ends and of each of their
 * threads, and the larger end's peak memory.
 *
 * @param warmUp - Arguments of a shorter load of the same kind that runs first and is not measured.
 */
export async function measure(kind, work, args, { warmUp, flags } = {}) {
  const pair = await startPair(kind, { flags });
  const load = async (args) => JSON.parse(await run([LOAD, work, pair.near, pair.far, ...args.map(String)]));
  try {
    if (warmUp !== undefined) await load(warmUp);
    const before = pair.usage();
    const result = await load(args);
    const after = pair.usage();
    if (after === undefined) return result;
    const cpuSeconds = {
      near: after.near.cpuSeconds - before.near.cpuSeconds,
      far: after.far.cpuSeconds - before.far.cpuSeconds,
    };
    const threadSeconds = {
      near: threadsBetween(before.near.threads, after.near.threads),
      far: threadsBetween(before.far.threads, after.far.threads),
    };
    const peakMegabytes = Math.max(after.near.peakMegabytes, after.far.peakMegabytes);
    return { ...result, cpuSeconds, threadSeconds, peakMegabytes };
  } finally {
    await pair.stop();
  }
}

/** What each thread that still exists has used in between. */
function threadsBetween(before, after) {
  return [...after].map(([thread, seconds]) => seconds - (before.get(thread) ?? 0));
}
