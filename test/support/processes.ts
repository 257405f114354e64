// Processes that are not children of the test, from Linux's /proc.

import { spawnSync } from "node:child_process";
import { readdirSync, readFileSync, readlinkSync } from "node:fs";
import { until } from "./cleanup.js";

/** The arguments of a process, as `ps` shows them. */
export function argsOf(id: number): readonly string[] {
  return readFileSync(`/proc/${id}/cmdline`, "utf8").split("\0").slice(0, -1);
}

/** The contents of `/proc/ID/stat`. */
export interface ProcessState {
  /** A letter; `Z` for a zombie. */
  readonly state: string;
  readonly parent: number;
  readonly group: number;
  readonly session: number;
  /** The number of the controlling terminal; 0 when there is none. */
  readonly terminal: number;
}

/** The state of a process; undefined if it does not exist. */
export function stateOf(id: number): ProcessState | undefined {
  const text = readIfThere(`/proc/${id}/stat`);
  if (text === undefined) return undefined;
  // The program's name is in parentheses and may contain anything.
  const [state = "", ...numbers] = text.slice(text.lastIndexOf(")") + 2).split(" ");
  const [parent = 0, group = 0, session = 0, terminal = 0] = numbers.map(Number);
  return { state, parent, group, session, terminal };
}

/** The children of a process. */
export function childrenOf(id: number): readonly number[] {
  return processIds().filter((child) => stateOf(child)?.parent === id);
}

function processIds(): readonly number[] {
  return readdirSync("/proc")
    .map(Number)
    .filter((id) => id > 0)
    .sort((one, other) => one - other);
}

/** Whether a process has not exited. */
export function isRunning(id: number): boolean {
  const state = stateOf(id)?.state;
  return state !== undefined && state !== "Z";
}

/** Waits for the exit of any process. */
export async function untilEnded(id: number): Promise<void> {
  await until(() => (isRunning(id) ? undefined : true), `the end of process ${id}`);
}

/**
 * Stops a process, and waits until each of its threads has stopped: before that, a thread may still handle another
 * signal.
 *
 * @throws Error if the process exits instead.
 */
export async function stop(id: number): Promise<void> {
  process.kill(id, "SIGSTOP");
  const isStopped = () => {
    const threads = threadsOf(id);
    if (threads.length === 0) throw new Error(`process ${id} has ended and cannot be stopped`);
    return threads.every((thread) => thread.get("State")?.startsWith("T")) || undefined;
  };
  await until(isStopped, `process ${id} to stop`);
}

/**
 * The fields of `/proc/ID/task/TASK/status` of each thread, by name, the main thread first; empty if the process is
 * gone.
 */
export function threadsOf(id: number): readonly ReadonlyMap<string, string>[] {
  // Node.js sorts a folder's names as text, so thread 10000 would come before its process 9999.
  const others = tasksIfThere(id).filter((task) => task !== String(id));
  return [id, ...others].flatMap((task) => {
    // A thread may exit meanwhile.
    const lines = readIfThere(`/proc/${id}/task/${task}/status`)?.split("\n");
    if (lines === undefined) return [];
    return [new Map(lines.map((line) => [line.replace(/:.*/, ""), line.replace(/^[^:]*:\s*/, "").trim()]))];
  });
}

/**
 * The processes that were started with this environment variable.
 *
 * @param words - Their arguments, used where only root may read the environment.
 */
export function processesWith(variable: string, args: readonly string[]): readonly number[] {
  const has = (id: number) =>
    readIfThere(`/proc/${id}/environ`)?.split("\0").includes(variable) ?? endsWith(argsIfThere(id), args);
  return processIds().filter(has).filter(isRunning);
}

/** Whether a process has the flags in `words`, which contain a temporary folder of the test. */
function endsWith(found: readonly string[], args: readonly string[]): boolean {
  const flags = args.slice(args.findLastIndex((word) => /spipe?d?(\.js)?$/.test(word)) + 1);
  return flags.length > 0 && found.slice(-flags.length).join("\0") === flags.join("\0");
}

function argsIfThere(id: number): readonly string[] {
  return (readIfThere(`/proc/${id}/cmdline`) ?? "").split("\0").slice(0, -1);
}

/** The target of a link in `/proc/ID`; undefined where only root may read it. */
export function linkOf(id: number, link: string): string | undefined {
  try {
    return readlinkSync(`/proc/${id}/${link}`);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "EACCES") throw error;
    return undefined;
  }
}

function tasksIfThere(id: number): readonly string[] {
  try {
    return readdirSync(`/proc/${id}/task`);
  } catch {
    return [];
  }
}

function readIfThere(file: string): string | undefined {
  try {
    return readFileSync(file, "latin1");
  } catch {
    return undefined;
  }
}

/** Number of open descriptors of a process; on every system. */
export function descriptorsOf(id: number): number {
  if (process.platform === "linux") return readdirSync(`/proc/${id}/fd`).length;
  const { stdout } = spawnSync("lsof", ["-nP", "-p", String(id), "-Ff"], { encoding: "utf8" });
  return stdout.match(/^f\d+$/gm)?.length ?? 0;
}
