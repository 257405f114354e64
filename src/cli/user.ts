/**
 * `-u USER[:GROUP] | :GROUP`: the user that a tunnel runs as, once it listens and has its key.
 */

import { readdirSync, readFileSync } from "node:fs";
import type { KeyReader } from "../config/key-file-messages.js";
import { codeOf, SpipedError } from "../errors.js";
import { addon } from "../native/native.js";
import { systemReason } from "../system-reason.js";

/** The user and group to switch to; an undefined user means no change. */
export interface Identity {
  readonly uid: number | undefined;
  readonly group: GroupChange;
  /** The value of `-u`. */
  readonly text: string;
}

/**
 * - `stay`: no change; the group is mostly root's.
 * - `login`: the login group of the user, which `-u` does not name.
 * - `named`: the group that `-u` names.
 */
export type GroupChange = { readonly kind: "stay" } | { readonly kind: "login" | "named"; readonly gid: number };

/**
 * Looks up the user and group of `-u`, names or numbers.
 *
 * A user without a group gets the login group. Differs from spiped: there the group does not change. For a number without
 * an account, which has no login group, it does not change here either.
 *
 * @throws SpipedError `SPIPED_USER` for an unknown user or group.
 */
export function lookupIdentity(text: string): Identity {
  const [user = "", group, ...rest] = text.split(":");
  if (rest.length > 0 || (user === "" && !group) || group === "") {
    throw new SpipedError("SPIPED_USER", `bad user ${JSON.stringify(text)} for -u`, {
      hint: "write USER, USER:GROUP or :GROUP, as names or numbers",
    });
  }
  if (process.setuid === undefined) {
    throw new SpipedError("SPIPED_USER", `-u ${text}: this system has no such users`, {
      hint: "leave -u out, and start spiped as that user",
    });
  }
  const named = group === undefined ? undefined : ({ kind: "named", gid: gidOf(group) } as const);
  if (user === "") return { uid: undefined, group: named ?? { kind: "stay" }, text };
  const account = addon.lookUpUser(user);
  const uid = account?.uid ?? numericId(user);
  if (uid === undefined) throw unknown("user", user);
  return { uid, group: named ?? (account === null ? { kind: "stay" } : { kind: "login", gid: account.gid }), text };
}

/** The user that reloads keys. */
export function readerOf(identity: Identity | undefined): KeyReader | undefined {
  return identity?.uid === undefined ? undefined : { uid: identity.uid, name: identity.text };
}

/** Whether this process may switch to a user, as far as that can be told without trying. */
export function mayBecome({ uid, group }: Identity): boolean {
  const isSame = (uid ?? process.geteuid?.()) === process.geteuid?.();
  const needsGroup = group.kind === "named" && group.gid !== process.getegid?.();
  return (isSame && !needsGroup) || process.geteuid?.() === 0 || addon.capabilities().length > 0;
}

/**
 * Switches to a user for good: drops supplementary groups, then changes the group, then the user, and leaves no capability
 * in any thread. A process that is that user already needs no rights for it.
 *
 * @returns Warnings about what this process may not change.
 * @throws SpipedError `SPIPED_USER` if the system refuses, or if the change could be undone.
 */
export function changeIdentity(identity: Identity): readonly string[] {
  const { uid, group } = identity;
  const isSame = uid === undefined || uid === process.geteuid?.();
  const warnings: string[] = [];
  try {
    const refused = attempt(() => process.setgroups?.([]));
    const changed = group.kind === "stay" ? undefined : attempt(() => process.setgid?.(group.gid));
    if (changed !== undefined) {
      // It runs as the user already, and no group was named.
      if (group.kind !== "login" || !isSame) throw changed;
      warnings.push(`-u: the group stays ${process.getegid?.()}, because this process may not change it`);
    }
    const left = process.getgroups?.().filter((gid) => gid !== process.getegid?.()) ?? [];
    if (refused !== undefined && left.length > 0) {
      // Differs from spiped: there a process that becomes another user keeps them, with the same warning.
      if (!isSame && !isDeniedToAll()) throw refused;
      warnings.push(`-u: the supplementary groups stay (${left}), because this process may not drop them`);
    }
    if (uid !== undefined && uid !== 0) setUser(uid);
    else if (uid !== undefined) process.setuid?.(uid);
  } catch (cause) {
    if (cause instanceof SpipedError) throw cause;
    throw new SpipedError("SPIPED_USER", `cannot change to ${describe(identity)}: ${reason(cause)}`, {
      cause,
      hint: "start as root (in a container, with CAP_SETUID and CAP_SETGID), or leave -u out",
    });
  }
  if (group.kind === "stay" && uid !== undefined) {
    warnings.push(`-u: user ${uid} has no account and no login group, so the group stays ${process.getegid?.()}`);
  }
  return warnings;
}

/** Switches to a user other than root. */
function setUser(uid: number): void {
  if (process.geteuid?.() !== 0 && addon.capabilities().length > 0) {
    // The system drops the capabilities of all threads when root becomes another user, and only then. A process that cannot
    // become root keeps them here, and is refused below.
    attempt(() => process.setuid?.(0));
  }
  process.setuid?.(uid);
  const isBack = attempt(() => process.setuid?.(0)) === undefined;
  if (isBack) throw canBeUndone("root's rights could be regained");
  addon.dropCapabilities();
  if (process.getuid?.() !== uid || process.geteuid?.() !== uid)
    throw canBeUndone("the previous user could be regained");
  let way = wayBackOfThreads(uid);
  // A thread that is exiting, such as the one that has read the key, is not changed any more, and does nothing either.
  for (let look = 1; way !== undefined && look < MOST_LOOKS; look += 1) {
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, LOOK_MS);
    way = wayBackOfThreads(uid);
  }
  if (way !== undefined) throw canBeUndone(way);
}

/** How often, and at what interval, to look for threads that still have the previous user. */
const MOST_LOOKS = 100;
const LOOK_MS = 10;

/** How a thread could still regain another user than `uid`; undefined if none can. */
function wayBackOfThreads(uid: number): string | undefined {
  for (const thread of threads()) {
    const ids = [...(thread.get("Uid") ?? []), ...(thread.get("Gid") ?? [])];
    const expected = [...Array(4).fill(uid), ...Array(4).fill(process.getegid?.())];
    if (ids.join() !== expected.join()) return "the previous user or group could be regained";
    // Inheritable capabilities alone have no effect, and only this thread starts processes.
    for (const set of ["CapEff", "CapPrm", "CapAmb"]) {
      if (!/^0*$/.test(thread.get(set)?.[0] ?? "")) return `capabilities are left (${set} ${thread.get(set)})`;
    }
  }
  return undefined;
}

/** The fields of the status of each thread, by name; none if the system has no /proc. */
function threads(): readonly ReadonlyMap<string, readonly string[]>[] {
  let names: readonly string[];
  try {
    names = readdirSync("/proc/self/task");
  } catch {
    return [];
  }
  return names.flatMap((name) => {
    const lines = statusOf(name)?.split("\n");
    return lines === undefined
      ? []
      : [new Map(lines.map((line) => [line.replace(/:.*/, ""), line.split(/\s+/).slice(1)]))];
  });
}

/** Undefined for a thread that has exited in the meantime, such as one of a lookup. */
function statusOf(thread: string): string | undefined {
  try {
    return readFileSync(`/proc/self/task/${thread}/status`, "latin1");
  } catch (error) {
    if (["ENOENT", "ESRCH"].includes(codeOf(error) ?? "")) return undefined;
    throw error;
  }
}

/** Whether this user namespace forbids dropping groups. */
function isDeniedToAll(): boolean {
  try {
    return readFileSync("/proc/self/setgroups", "latin1").startsWith("deny");
  } catch {
    return false;
  }
}

/** Returns what `change` throws. */
function attempt(change: () => void): unknown {
  try {
    change();
    return undefined;
  } catch (error) {
    return error;
  }
}

function canBeUndone(what: string): SpipedError {
  return new SpipedError("SPIPED_USER", `-u could be undone: ${what}`, {
    hint: "start as root, or as that user without capabilities (AmbientCapabilities=) and without -u",
  });
}

function describe({ uid, group }: Identity): string {
  return `user ${uid ?? "(same)"}, group ${group.kind === "stay" ? "(same)" : group.gid}`;
}

function reason(cause: unknown): string {
  switch (codeOf(cause)) {
    case "EPERM":
      return "not permitted";
    case "EINVAL":
      return "it does not exist in this user namespace";
    default:
      return systemReason(cause);
  }
}

function gidOf(group: string): number {
  const gid = addon.lookUpGroup(group) ?? numericId(group);
  if (gid === undefined) throw unknown("group", group);
  return gid;
}

/** A number needs no account. The highest one would mean "no change". */
function numericId(text: string): number | undefined {
  return /^\d+$/.test(text) && Number(text) < 2 ** 32 - 1 ? Number(text) : undefined;
}

function unknown(kind: string, name: string): SpipedError {
  return new SpipedError("SPIPED_USER", `there is no ${kind} ${JSON.stringify(name)}`, {
    hint: "write USER, USER:GROUP or :GROUP after -u, as names or numbers",
  });
}
