/**
 * Who may do what with a file: this process, or the user of `-u`, which it is not yet.
 */

import { type ChildProcess, execFile } from "node:child_process";
import { constants } from "node:fs";
import { access, realpath, stat } from "node:fs/promises";
import { dirname } from "node:path";
import { stickyBitAllows } from "../net/file-trial.js";
import { pathBytes, textOfBytes } from "../paths.js";
import type { Verdicts } from "./probe-output.js";
import type { Identity } from "./user.js";

/**
 * A kind of access:
 *
 * - `read` a file;
 * - `list` a folder, and open its files;
 * - `change`: make and remove files in a folder;
 * - `connect` to a UNIX socket.
 */
export type Use = "read" | "list" | "change" | "connect";

/** Whether a user has this access to a path. */
export type May = (path: string, use: Use) => Promise<boolean>;

/** Each use as the bits of a file's mode. */
const BITS = { read: 4, list: 5, change: 3, connect: 2 } as const;

/** How long to wait for an answer about one path. */
const ASK_MS = 5_000;

/** What this process may do. */
export async function mayNow(path: string, use: Use): Promise<boolean> {
  const bits = BITS[use];
  const mode = (bits & 4 && constants.R_OK) | (bits & 2 && constants.W_OK) | (bits & 1 && constants.X_OK);
  return access(pathBytes(path), mode).then(
    () => true,
    () => false,
  );
}

/** How to ask the system. */
export interface Asking {
  /** Called once for a folder about which the system does not answer, as with a network file system that hangs. */
  readonly silent: (folder: string) => void;
  readonly timeoutMs?: number;
  readonly shell?: string;
}

/** The folders about which the system does not answer, by user: one wait for each is enough. */
const silentFolders = new WeakMap<Identity, Set<string>>();

/**
 * What another user may do: asks the system, as that user; if it refuses, judges by owners and modes. If it does not
 * answer, nothing is known, and the answer is yes.
 */
export function mayAs(identity: Identity, asking: Asking): May {
  const user = uidOf(identity);
  const gid = identity.group.kind === "stay" ? (process.getegid?.() ?? 0) : identity.group.gid;
  if (user === 0) return async () => true;
  const silent = silentFolders.get(identity) ?? new Set();
  silentFolders.set(identity, silent);
  return async (path, use) => {
    const folder = use === "list" || use === "change" ? path : dirname(path);
    if (silent.has(folder)) return true;
    const answer = await askAs(user, gid, path, use, asking);
    if (answer !== "silent") return answer ?? mayByModes(user, gid, path, use);
    if (!silent.has(folder)) asking.silent(folder);
    silent.add(folder);
    return true;
  };
}

/** What the user of `-u` may do; warns if the system does not answer. */
export function mayOf(verdicts: Verdicts, identity: Identity): May {
  return mayAs(identity, {
    silent: (folder) => {
      verdicts.write({
        verdict: "warning",
        step: "user",
        text: `-u: what user ${identity.text} may do in ${folder} is not known, because the system does not answer`,
        hint: "look for a network file system there that hangs",
      });
    },
  });
}

/**
 * Whether a user may remove a file.
 *
 * @param owner - The owner that the file has or will have, which counts in a folder with the sticky bit.
 */
export async function mayRemove(path: string, owner: number, identity: Identity, may: May): Promise<boolean> {
  const folder = dirname(path);
  if (!(await may(folder, "change"))) return false;
  try {
    return stickyBitAllows(await stat(pathBytes(folder)), { owner, user: uidOf(identity) });
  } catch {
    // This process may not look: the answer above is all there is.
    return true;
  }
}

function uidOf({ uid }: Identity): number {
  return uid ?? process.geteuid?.() ?? 0;
}

/** @returns Undefined if no process can be started as that user. */
function askAs(
  uid: number,
  gid: number,
  path: string,
  use: Use,
  { timeoutMs = ASK_MS, shell = "/bin/sh" }: Asking,
): Promise<boolean | "silent" | undefined> {
  const bits = BITS[use];
  const tests = [bits & 4 && "-r", bits & 2 && "-w", bits & 1 && "-x"].filter((flag) => flag !== 0);
  // Arguments must be UTF-8, and a path need not be.
  const escaped = [...pathBytes(path)].map((byte) => `\\0${byte.toString(8).padStart(3, "0")}`).join("");
  const script = `p=$(printf '%b.' "$1"); p=\${p%.}; ${tests.map((flag) => `test ${flag} "$p"`).join(" && ")}`;
  return new Promise((resolve) => {
    let child: ChildProcess;
    try {
      child = execFile(shell, ["-c", script, "sh", escaped], { uid, gid }, (error) => {
        clearTimeout(timer);
        if (error === null) resolve(true);
        else resolve(error.code === 1 ? false : undefined);
      });
    } catch {
      // This process may not become that user.
      resolve(undefined);
      return;
    }
    const timer = setTimeout(() => {
      resolve("silent");
      // A process that waits for a file system may not end even so; this one does not wait for it.
      child.kill("SIGKILL");
      for (const stream of child.stdio) stream?.destroy();
      child.unref();
    }, timeoutMs);
  });
}

async function mayByModes(user: number, gid: number, path: string, use: Use): Promise<boolean> {
  const has = async (where: string, bits: number) => {
    const { uid, gid: group, mode } = await stat(pathBytes(where));
    const shift = uid === user ? 6 : group === gid ? 3 : 0;
    return ((mode >> shift) & bits) === bits;
  };
  try {
    if (!(await has(path, BITS[use]))) return false;
    let below = textOfBytes(await realpath(pathBytes(path), "buffer"));
    for (let above = dirname(below); above !== below; above = dirname(above)) {
      if (!(await has(above, 1))) return false;
      below = above;
    }
    return true;
  } catch {
    return false;
  }
}
