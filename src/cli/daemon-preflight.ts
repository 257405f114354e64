/**
 * Checks what a daemon needs from this machine. If something is missing, Node.js hangs or aborts before any code of this
 * program runs, so the first process checks for the second one.
 */

import { closeSync, openSync, readdirSync } from "node:fs";
import { SpipedError } from "../errors.js";
import { addon } from "../native/native.js";
import { systemReason } from "../system-reason.js";

/** The threads that Node.js starts at once, and one for a lookup. */
const THREADS = 8;

/** The threads that Node.js starts when there is work. */
const POOL_THREADS = 4;

/**
 * Checks that a daemon can be started.
 *
 * @throws SpipedError `SPIPED_LIMIT` with what is missing.
 */
export function checkDaemonCanStart(): void {
  try {
    closeSync(openSync("/dev/null", "r+"));
  } catch (cause) {
    throw new SpipedError("SPIPED_LIMIT", `a daemon needs /dev/null: ${systemReason(cause)}`, {
      cause,
      hint: "mount a /dev that has it, or stay in the foreground with -F",
    });
  }
  // Node.js hangs or aborts if some of its threads cannot be started.
  const threads = Math.max(threadsNow() + 1, THREADS + (Number(process.env["UV_THREADPOOL_SIZE"]) || POOL_THREADS));
  if (!addon.canStartThreads(threads)) {
    throw new SpipedError(
      "SPIPED_LIMIT",
      `a daemon needs ${threads} more tasks, which exceeds the limit of this user or container`,
      {
        hint: "raise the limit: ulimit -u, TasksMax= in a unit, or --pids-limit of a container",
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
