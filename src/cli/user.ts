/**
 * `-u USER[:GROUP] | :GROUP`: the user that a tunnel runs as once it listens and has its key.
 */

import { readdirSync, readFileSync } from "node:fs";
import { codeOf, messageOf, SpipedError } from "../errors.js";
import { addon } from "../native/native.js";

/** Whom to become; an undefined user stays as it is. */
export interface Identity {
  readonly uid: number | undefined;
  readonly group: GroupChange;
}

/**
 * - `stay`: the group stays; it is root's most often.
 * - `login`: the user's login group, which nobody asked for in so many words.
 * - `named`: the one that `-u` names.
 */
export type GroupChange = { readonly kind: "stay" } | { readonly kind: "login" | "named"; readonly gid: number };

/**
 * Looks up the words of `-u`, names or numbers.
 *
 * A user without a group gets the login group. Differs from spiped: there the group stays, root's most often; so it does
 * here for a number that has no account, as that has no login group.
 *
 * @throws SpipedError `SPIPED_USER` for an unknown user or group.
 */
export function lookUpIdentity(text: string): Identity {
  const [user = "", group, ...rest] = text.split(":");
  if (rest.length > 0 || (user === "" && !group) || group === "") {
    throw new SpipedError("SPIPED_USER", `bad user ${JSON.stringify(text)} for -u`, {
      hint: "write USER, USER:GROUP or :GROUP, as names or numbers",
    });
  }
  if (process.setuid === undefined) {
    throw new SpipedError("SPIPED_USER", `-u ${text}: this system has no such users`, {
      hint: "leave -u out, and start as the user that is meant",
    });
  }
  const named = group === undefined ? undefined : ({ kind: "named", gid: gidOf(group) } as const);
  if (user === "") return { uid: undefined, group: named ?? { kind: "stay" } };
  const account = addon.lookUpUser(user);
  const uid = account?.uid ?? numericId(user);
  if (uid === undefined) throw unknown("user", user);
  return { uid, group: named ?? (account === null ? { kind: "stay" } : { kind: "login", gid: account.gid }) };
}

/** Whether this process may become somebody, as far as that can be told without trying. */
export function mayBecome({ uid, group }: Identity): boolean {
  const isSame = (uid ?? process.geteuid?.()) === process.geteuid?.();
  const needsGroup = group.kind === "named" && group.gid !== process.getegid?.();
  return (isSame && !needsGroup) || process.geteuid?.() === 0 || addon.capabilities().length > 0;
}

/**
 * Becomes somebody else for good: supplementary groups dropped, then the group, then the user, with no capability left
 * in any thread. Who is that user already needs no rights for it.
 *
 * @returns Warnings: what stays because this process may not change it, and nobody else could have.
 * @throws SpipedError `SPIPED_USER` where the system refuses, or where there would be a way back.
 */
export function changeIdentity(identity: Identity): readonly string[] {
  const { uid, group } = identity;
  const isSame = uid === undefined || uid === process.geteuid?.();
  const warnings: string[] = [];
  try {
    const refused = attempt(() => process.setgroups?.([]));
    const changed = group.kind === "stay" ? undefined : attempt(() => process.setgid?.(group.gid));
    if (changed !== undefined) {
      // It is the user already, and said nothing of a group.
      if (group.kind !== "login" || !isSame) throw changed;
      warnings.push(`-u: the group stays ${process.getegid?.()}, since this process may not change it`);
    }
    const left = process.getgroups?.().filter((gid) => gid !== process.getegid?.()) ?? [];
    if (refused !== undefined && left.length > 0) {
      // Differs from spiped: there whoever becomes another user keeps them, with the same warning.
      if (!isSame && !isDeniedToAll()) throw refused;
      warnings.push(`-u: the supplementary groups stay (${left}), since this process may not drop them`);
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
    warnings.push(`-u: user ${uid} has no account, so no login group: the group stays ${process.getegid?.()}`);
  }
  return warnings;
}

/** Becomes a user other than the superuser. */
function setUser(uid: number): void {
  if (process.geteuid?.() !== 0 && addon.capabilities().length > 0) {
    // The system takes capabilities from all threads of who ceases to be the superuser, and from nobody else. Whoever
    // cannot become it either keeps them here, and is refused below.
    attempt(() => process.setuid?.(0));
  }
  process.setuid?.(uid);
  const isBack = attempt(() => process.setuid?.(0)) === undefined;
  if (isBack) throw wayBack("the superuser's rights could be taken again");
  addon.dropCapabilities();
  if (process.getuid?.() !== uid || process.geteuid?.() !== uid) throw wayBack("the user before could be taken again");
  let way = wayBackOfThreads(uid);
  // A thread that is about to end, as one that has read the key, is not changed any more. It cannot do anything either.
  for (let look = 1; way !== undefined && look < MOST_LOOKS; look += 1) {
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, LOOK_MS);
    way = wayBackOfThreads(uid);
  }
  if (way !== undefined) throw wayBack(way);
}

/** So often, and so long between, is looked for threads that are somebody else. */
const MOST_LOOKS = 100;
const LOOK_MS = 10;

/** How a thread could still become somebody else than `uid`. */
function wayBackOfThreads(uid: number): string | undefined {
  for (const thread of threads()) {
    const ids = [...(thread.get("Uid") ?? []), ...(thread.get("Gid") ?? [])];
    const expected = [...Array(4).fill(uid), ...Array(4).fill(process.getegid?.())];
    if (ids.join() !== expected.join()) return "the user or group before could be taken again";
    // What a thread could inherit counts for nothing by itself, and what this process starts is started by this thread.
    for (const set of ["CapEff", "CapPrm", "CapAmb"]) {
      if (!/^0*$/.test(thread.get(set)?.[0] ?? "")) return `capabilities stay (${set} ${thread.get(set)})`;
    }
  }
  return undefined;
}

/** What the system says of each thread, by the name of the field; nothing where it does not. */
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

/** Undefined for a thread that has ended meanwhile, as one that looks a name up does. */
function statusOf(thread: string): string | undefined {
  try {
    return readFileSync(`/proc/self/task/${thread}/status`, "latin1");
  } catch (error) {
    if (["ENOENT", "ESRCH"].includes(codeOf(error) ?? "")) return undefined;
    throw error;
  }
}

/** Whether in this user namespace nobody may drop groups, whatever the rights. */
function isDeniedToAll(): boolean {
  try {
    return readFileSync("/proc/self/setgroups", "latin1").startsWith("deny");
  } catch {
    return false;
  }
}

/** What `change` throws. */
function attempt(change: () => void): unknown {
  try {
    change();
    return undefined;
  } catch (error) {
    return error;
  }
}

function wayBack(what: string): SpipedError {
  return new SpipedError("SPIPED_USER", `-u would not be for good: ${what}`, {
    hint: "start as root, or as that very user without capabilities (AmbientCapabilities=) and without -u",
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
      return messageOf(cause);
  }
}

function gidOf(group: string): number {
  const gid = addon.lookUpGroup(group) ?? numericId(group);
  if (gid === undefined) throw unknown("group", group);
  return gid;
}

/** A number needs no entry in the system's lists. The highest one stands for "leave it as it is". */
function numericId(text: string): number | undefined {
  return /^\d+$/.test(text) && Number(text) < 2 ** 32 - 1 ? Number(text) : undefined;
}

function unknown(kind: string, name: string): SpipedError {
  return new SpipedError("SPIPED_USER", `there is no ${kind} ${JSON.stringify(name)}`, {
    hint: "write USER, USER:GROUP or :GROUP after -u, as names or numbers",
  });
}
