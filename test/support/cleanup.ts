// What a test has to undo, in the reverse order of doing it, also when it fails; and waiting that cannot last for ever.

import { mkdtemp, rm } from "node:fs/promises";
import { join } from "node:path";
import type { TestContext } from "node:test";
import { temporaryRoot } from "./machine.js";

/** How long anything in a test may take before it counts as never: far more than it needs, so that a slow machine decides nothing. */
export const failsafeMs = 60_000;

/** The options of a test that drives commands: only a test that hangs meets this limit. */
export const limits = { timeout: 3 * failsafeMs };

type Undo = () => unknown;

const undosOf = new WeakMap<TestContext, Undo[]>();

/** Has `undo` run when the test ends, before everything that was registered earlier. */
export function afterwards(t: TestContext, undo: Undo): void {
  const known = undosOf.get(t);
  if (known !== undefined) {
    known.push(undo);
    return;
  }
  const undos = [undo];
  undosOf.set(t, undos);
  t.after(async () => {
    for (const next of undos.reverse()) await next();
  });
}

/** A folder of the test's own, with a short path, since a UNIX socket's path has fewer than 104 bytes on some systems. */
export async function temporaryFolder(t: TestContext): Promise<string> {
  const folder = await mkdtemp(join(temporaryRoot, "spiped-"));
  afterwards(t, () => rm(folder, { recursive: true, force: true }));
  return folder;
}

/**
 * Waits for `promise`, but not for ever.
 *
 * @param what - What is waited for, as the end of a sentence; a function is asked at the time of failure.
 * @throws Error that names `what`, after `failsafeMs`.
 */
export async function within<T>(promise: Promise<T>, what: string | (() => string)): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  const never = new Promise<never>((_resolve, reject) => {
    timer = setTimeout(() => {
      reject(new Error(`waited ${failsafeMs / 1000} s in vain for ${typeof what === "string" ? what : what()}`));
    }, failsafeMs);
    // A failed test must not keep the process waiting for what it left pending.
    timer.unref();
  });
  try {
    return await Promise.race([promise, never]);
  } finally {
    clearTimeout(timer);
  }
}

/** Looks again and again until `condition` gives a value; what it looks at is outside this process and reports nothing. */
export async function until<T>(
  condition: () => T | undefined | Promise<T | undefined>,
  what: string | (() => string),
): Promise<T> {
  const deadline = Date.now() + failsafeMs;
  for (;;) {
    const value = await condition();
    if (value !== undefined) return value;
    if (Date.now() > deadline) {
      throw new Error(`waited ${failsafeMs / 1000} s in vain for ${typeof what === "string" ? what : what()}`);
    }
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}
