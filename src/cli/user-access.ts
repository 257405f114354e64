/**
 * What the user of `-u` cannot read again once spiped has become that user: keys and the configuration. The start reads
 * them before `-u`, as root; without a check the operator finds out only when a SIGHUP should revoke a key.
 */

import { readdir, stat } from "node:fs/promises";
import { join } from "node:path";
import { isLeftOut } from "../config/key-folder.js";
import { codeOf } from "../errors.js";
import { isConfigFile } from "../flags/config-text.js";
import { pathBytes, textOfBytes } from "../paths.js";
import type { May } from "./file-access.js";

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
  const files = (await namesIn(path)).filter(isConfigFile);
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
