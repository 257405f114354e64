// Cleanup in reverse order, also when a test fails; and waiting with a time limit.

import { mkdtemp, rm } from "node:fs/promises";
import { join } from "node:path";
import type { TestContext } from "node:test";
import { temporaryRoot } from "./environment.js";

/** Multiplies all time limits of tests, for programs that check each access to memory and are that much slower. */
const patience = Number(process.env["TEST_PATIENCE"] ?? 1);

/** How long anything in a test may take before it fails: far more than needed, so that slow machines do not matter. */
export const failsafeMs = 60_000 * patience;

/** The options of a test that drives commands. Only a test that hangs reaches this limit. */
export const limits = { timeout: 3 * failsafeMs };

/**
 * The options of a test of a contract: of one object in this process, for each of its kinds. Such a test takes milliseconds,
 * and a mistake that leaves a promise pending makes many of them hang, one after the other.
 */
export const contractLimits = { timeout: failsafeMs / 3 };

type Undo = () => unknown;

const undosOf = new WeakMap<TestContext, Undo[]>();

/** Runs `undo` when the test ends, before everything registered earlier. */
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

/** A temporary folder with a short path, because a UNIX socket's path has fewer than 104 bytes on some systems. */
export async function temporaryFolder(t: TestContext): Promise<string> {
  const folder = await mkdtemp(join(temporaryRoot, "spiped-"));
  afterwards(t, () => rm(folder, { recursive: true, force: true }));
  return folder;
}

/**
 * Waits for `promise` with a time limit.
 *
 * @param what - What the test is waiting for, for the error message; a function is called at the time of failure.
 * @throws Error that names `what`, after `failsafeMs`.
 */
export async function within<T>(promise: Promise<T>, what: string | (() => string)): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  const never = new Promise<never>((_resolve, reject) => {
    timer = setTimeout(() => {
      reject(new Error(`waited ${failsafeMs / 1000} s in vain for ${typeof what === "string" ? what : what()}`));
    }, failsafeMs);
    // A failed test must not keep the process alive.
    timer.unref();
  });
  try {
    return await Promise.race([promise, never]);
  } finally {
    clearTimeout(timer);
  }
}

/** Polls until `condition` returns a value, for things outside this process that send no event. */
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
