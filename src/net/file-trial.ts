/**
 * Tries whether a file can be created in a folder and written to, and leaves nothing behind: a full disk, a quota and a
 * read-only mount show only then. Also judges who may remove a file from a folder with the sticky bit.
 */

import { randomBytes } from "node:crypto";
import { closeSync, constants, openSync, type Stats, unlinkSync, writeSync } from "node:fs";
import { codeOf } from "../errors.js";
import { pathBytes } from "../paths.js";
import { hasProc } from "../platform.js";

/** Linux's `O_TMPFILE`, which Node.js does not list: a file without a name. */
const UNNAMED = 0o20000000 | constants.O_DIRECTORY;

/** The errors of file systems and kernels without unnamed files. */
const LACKS_UNNAMED = ["EOPNOTSUPP", "ENOTSUP", "EISDIR", "EINVAL", "ENOSYS", "ENOENT"];

/**
 * Creates a file, writes to it, and removes it.
 *
 * @throws The error of the system.
 */
export function tryToWriteIn(folder: string, text: string): void {
  if (hasProc()) {
    try {
      writeAndClose(openSync(pathBytes(folder), constants.O_WRONLY | UNNAMED, 0o600), text);
      return;
    } catch (error) {
      if (!LACKS_UNNAMED.includes(codeOf(error) ?? "")) throw error;
    }
  }
  const path = Buffer.concat([pathBytes(folder), Buffer.from(`/.trial-${randomBytes(8).toString("hex")}`)]);
  const descriptor = openSync(path, "wx", 0o600);
  try {
    writeAndClose(descriptor, text);
  } finally {
    unlinkSync(path);
  }
}

/**
 * Whether the sticky bit of a folder lets a user remove a file of this owner: then only root, the file's owner and the
 * folder's may.
 */
export function stickyBitAllows(
  folder: Pick<Stats, "mode" | "uid">,
  { owner, user }: { readonly owner: number; readonly user: number },
): boolean {
  return (folder.mode & STICKY) === 0 || [0, owner, folder.uid].includes(user);
}

const STICKY = 0o1000;

function writeAndClose(descriptor: number, text: string): void {
  try {
    writeSync(descriptor, text);
  } finally {
    closeSync(descriptor);
  }
}
