/**
 * Whether the user of `-u` can reload folders of keys. The operator is warned at startup and by `--check`, and does
 * not find out only when a SIGHUP should revoke a key.
 */

import { constants } from "node:fs";
import { access, readdir, realpath, stat } from "node:fs/promises";
import { dirname, join } from "node:path";
import { isLeftOut } from "../config/key-folder.js";
import { pathBytes, textOfBytes } from "../paths.js";
import type { Identity } from "./user.js";

/** The kind of access: read a file, list a folder and open its files, or only pass through a folder. */
type Use = "read" | "list" | "pass";

/** Whether a user has this access to a path. */
type May = (path: string, use: Use) => Promise<boolean>;

/** Checks what this process can read, after it has switched to the user. @returns A warning if it cannot reload. */
export function unreadableNow(folder: string): Promise<string | undefined> {
  return unreadable(folder, async (path, use) => {
    const mode = { read: constants.R_OK, list: constants.R_OK | constants.X_OK, pass: constants.X_OK }[use];
    return access(pathBytes(path), mode).then(
      () => true,
      () => false,
    );
  });
}

/** Checks what another user could read, judging by owners and modes. @returns A warning if that user could not reload. */
export async function unreadableFor({ uid, group }: Identity, folder: string): Promise<string | undefined> {
  const user = uid ?? process.geteuid?.();
  const gid = group.kind === "stay" ? process.getegid?.() : group.gid;
  if (user === 0) return undefined;
  const may: May = async (path, use) => {
    const { uid: owner, gid: itsGroup, mode } = await stat(pathBytes(path));
    const shift = owner === user ? 6 : itsGroup === gid ? 3 : 0;
    const needed = { read: 4, list: 5, pass: 1 }[use];
    return ((mode >> shift) & needed) === needed;
  };
  return unreadable(folder, may);
}

async function unreadable(folder: string, may: May): Promise<string | undefined> {
  try {
    if (!(await isWithinReach(folder, may))) {
      return `-u: this user cannot read key folder ${folder}: SIGHUP can neither add nor remove keys; chgrp it, and chmod 750`;
    }
    const shut: string[] = [];
    for (const file of (await readdir(pathBytes(folder), "buffer")).map(textOfBytes)) {
      if (isLeftOut(file)) continue;
      const path = join(folder, file);
      if (!(await may(path, "read"))) shut.push(path);
    }
    const [first, ...others] = shut;
    if (first === undefined) return undefined;
    const more = others.length === 0 ? "" : ` and ${others.length} more`;
    return `-u: this user cannot read key file ${first}${more}: SIGHUP cannot reload it; chgrp it, and chmod 640`;
  } catch {
    // Removed in the meantime, or a broken link: reported elsewhere.
    return undefined;
  }
}

async function isWithinReach(folder: string, may: May): Promise<boolean> {
  if (!(await may(folder, "list"))) return false;
  let path = textOfBytes(await realpath(pathBytes(folder), "buffer"));
  for (let above = dirname(path); above !== path; above = dirname(path)) {
    if (!(await may(above, "pass"))) return false;
    path = above;
  }
  return true;
}
