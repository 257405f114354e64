/**
 * `-u USER[:GROUP] | :GROUP`: the user that a tunnel runs as once it listens and has its key.
 */

import { codeOf, messageOf, SpipedError } from "../errors.js";
import { addon } from "../native/native.js";

/** Whom to become; undefined parts stay as they are. */
export interface Identity {
  readonly uid: number | undefined;
  readonly gid: number | undefined;
}

/**
 * Looks up the words of `-u`, names or numbers.
 *
 * A user without a group gets the login group. Differs from spiped: there the group stays, root's most often.
 *
 * @throws SpipedError `SPIPED_USER` for an unknown user or group.
 */
export function lookUpIdentity(text: string): Identity {
  const [user = "", group, ...rest] = text.split(":");
  if (rest.length > 0 || (user === "" && !group) || group === "") {
    throw new SpipedError("SPIPED_USER", `bad user ${JSON.stringify(text)} for -u`, {
      hint: "write USER, USER:GROUP or :GROUP, each a name or a number",
    });
  }
  if (process.setuid === undefined) {
    throw new SpipedError("SPIPED_USER", `-u ${text}: this system has no such users`, {
      hint: "leave -u out, and start as the user that is meant",
    });
  }
  const gid = group === undefined ? undefined : gidOf(group);
  if (user === "") return { uid: undefined, gid };
  const account = addon.lookUpUser(user);
  if (account !== null) return { uid: account.uid, gid: gid ?? account.gid };
  const uid = numericId(user);
  if (uid === undefined) throw unknown("user", user);
  if (gid !== undefined) return { uid, gid };
  throw new SpipedError("SPIPED_USER", `user ${user} has no account here, so no login group either`, {
    hint: `name a group: -u ${user}:GROUP`,
  });
}

/**
 * Becomes somebody else for good: supplementary groups dropped, then the group, then the user.
 *
 * @throws SpipedError `SPIPED_USER` where the system refuses.
 */
export function changeIdentity({ uid, gid }: Identity): void {
  try {
    process.setgroups?.([]);
    if (gid !== undefined) process.setgid?.(gid);
    if (uid !== undefined) process.setuid?.(uid);
  } catch (cause) {
    const why = codeOf(cause) === "EPERM" ? "not permitted" : messageOf(cause);
    throw new SpipedError("SPIPED_USER", `cannot change to user ${uid ?? "(same)"}, group ${gid ?? "(same)"}: ${why}`, {
      cause,
      hint: "start as root (in a container, with CAP_SETUID and CAP_SETGID), or leave -u out",
    });
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
    hint: "-u takes USER, USER:GROUP or :GROUP, each a name or a number",
  });
}
