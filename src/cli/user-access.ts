/**
 * What the user of `-u` may do once spiped has become that user: read keys and the configuration again, remove its files,
 * connect to a UNIX socket. The start does these things before `-u`, as root; without a check the operator finds out only
 * when a SIGHUP should revoke a key.
 */

import { execFile } from "node:child_process";
import { constants } from "node:fs";
import { access, readdir, realpath, stat } from "node:fs/promises";
import { dirname, join } from "node:path";
import { isLeftOut } from "../config/key-folder.js";
import { codeOf } from "../errors.js";
import { pathBytes, textOfBytes } from "../paths.js";
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

/** What this process may do. */
export async function mayNow(path: string, use: Use): Promise<boolean> {
  const bits = BITS[use];
  const mode = (bits & 4 && constants.R_OK) | (bits & 2 && constants.W_OK) | (bits & 1 && constants.X_OK);
  return access(pathBytes(path), mode).then(
    () => true,
    () => false,
  );
}

/** What another user may do: asks the system, as that user; if it refuses, judges by owners and modes. */
export function mayAs({ uid, group }: Identity): May {
  const user = uid ?? process.geteuid?.() ?? 0;
  const gid = group.kind === "stay" ? (process.getegid?.() ?? 0) : group.gid;
  if (user === 0) return async () => true;
  return async (path, use) => (await askAs(user, gid, path, use)) ?? mayByModes(user, gid, path, use);
}

/** @returns Undefined if no process can be started as that user. */
function askAs(uid: number, gid: number, path: string, use: Use): Promise<boolean | undefined> {
  const bits = BITS[use];
  const tests = [bits & 4 && "-r", bits & 2 && "-w", bits & 1 && "-x"].filter((flag) => flag !== 0);
  // Arguments must be UTF-8, and a path need not be.
  const escaped = [...pathBytes(path)].map((byte) => `\\0${byte.toString(8).padStart(3, "0")}`).join("");
  const script = `p=$(printf '%b.' "$1"); p=\${p%.}; ${tests.map((flag) => `test ${flag} "$p"`).join(" && ")}`;
  return new Promise((resolve) => {
    execFile("/bin/sh", ["-c", script, "sh", escaped], { uid, gid }, (error) => {
      if (error === null) resolve(true);
      else resolve(error.code === 1 ? false : undefined);
    });
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

/** @returns A warning if the user cannot reload a folder of keys. */
export async function unreadableKeyFolder(folder: string, may: May): Promise<string | undefined> {
  const named = `-u: this user cannot read key folder ${folder}`;
  if (!(await may(folder, "list"))) return `${named}: SIGHUP can neither add nor remove keys; chgrp it, and chmod 750`;
  const files = (await namesIn(folder)).filter((file) => !isLeftOut(file));
  return unreadableFiles(
    "key file",
    files.map((file) => join(folder, file)),
    may,
  );
}

/** @returns A warning if the user cannot reload a key file, or one file of the configuration. */
export async function unreadableFile(what: string, path: string, may: May): Promise<string | undefined> {
  // A pipe, a descriptor or a device is read only once.
  if (OWN_DESCRIPTOR.test(path) || !["file", "hidden"].includes(await kindOf(path))) return undefined;
  return unreadableFiles(what, [path], may);
}

const OWN_DESCRIPTOR = /^(-$|\/dev\/|\/proc\/)/;

/** @returns A warning if the user cannot reload the configuration, a file or a folder. */
export async function unreadableConfig(path: string, may: May): Promise<string | undefined> {
  if ((await kindOf(path)) !== "folder") return unreadableFile("configuration file", path, may);
  if (!(await may(path, "list"))) {
    return `-u: this user cannot read configuration folder ${path}: SIGHUP cannot reload it; chgrp it, and chmod 750`;
  }
  const files = (await namesIn(path)).filter((file) => /^[^.].*\.toml$/s.test(file));
  return unreadableFiles(
    "configuration file",
    files.map((file) => join(path, file)),
    may,
  );
}

async function unreadableFiles(what: string, paths: readonly string[], may: May): Promise<string | undefined> {
  const shut: string[] = [];
  for (const path of paths) if (!(await may(path, "read"))) shut.push(path);
  const [first, ...others] = shut;
  if (first === undefined) return undefined;
  const more = others.length === 0 ? "" : ` and ${others.length} more`;
  return `-u: this user cannot read ${what} ${first}${more}: SIGHUP cannot reload it; chgrp it, and chmod 640`;
}

async function namesIn(folder: string): Promise<readonly string[]> {
  try {
    return (await readdir(pathBytes(folder), "buffer")).map(textOfBytes);
  } catch {
    // Removed in the meantime: reported elsewhere.
    return [];
  }
}

/** `hidden`: this process may not pass through a folder above it. */
async function kindOf(path: string): Promise<"file" | "folder" | "hidden" | "other"> {
  try {
    const status = await stat(pathBytes(path));
    return status.isFile() ? "file" : status.isDirectory() ? "folder" : "other";
  } catch (error) {
    return codeOf(error) === "EACCES" ? "hidden" : "other";
  }
}
