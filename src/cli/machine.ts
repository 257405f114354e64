/**
 * What this machine must give. What Node.js itself lacks, it tells in its own way, or hangs, before anything of ours
 * runs; so the first process looks whether the second one would have what it needs.
 */

import { closeSync, openSync, readdirSync } from "node:fs";
import { messageOf, SpipedError } from "../errors.js";
import { addon } from "../native/native.js";

/** What Node.js starts at once, and one look-up. */
const THREADS = 8;

/** What Node.js starts when there is work for them. */
const POOL_THREADS = 4;

/**
 * Looks whether a daemon can be started.
 *
 * @throws SpipedError `SPIPED_LIMIT` that says what is missing.
 */
export function requireDaemonMachine(): void {
  try {
    closeSync(openSync("/dev/null", "r+"));
  } catch (cause) {
    throw new SpipedError("SPIPED_LIMIT", `a daemon needs /dev/null: ${messageOf(cause)}`, {
      cause,
      hint: "mount a /dev that has it, or stay in the foreground with -F",
    });
  }
  // Node.js waits for ever, or aborts, when some of its threads cannot be started.
  const threads = Math.max(threadsNow() + 1, THREADS + (Number(process.env["UV_THREADPOOL_SIZE"]) || POOL_THREADS));
  if (!addon.canStartThreads(threads)) {
    throw new SpipedError(
      "SPIPED_LIMIT",
      `a daemon needs ${threads} more tasks, and this user or container may not have them`,
      {
        hint: "raise the limit (ulimit -u, TasksMax= of a unit, --pids-limit of a container)",
      },
    );
  }
}

function threadsNow(): number {
  try {
    return readdirSync("/proc/self/task").length;
  } catch {
    return 0;
  }
}
