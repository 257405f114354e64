/**
 * Reads the text of a configuration: one file, or all files of a folder whose names end in `.toml`.
 *
 * The path can lead to anything: a pipe without a writer, an endless device, a mount that does not respond, a file that is
 * being written. Reading always ends, with a message if it fails.
 */

import { isUtf8 } from "node:buffer";
import { constants } from "node:fs";
import { type FileHandle, open, readdir } from "node:fs/promises";
import { codeOf } from "../errors.js";
import { homeHint, pathBytes, textOfBytes } from "../paths.js";
import { systemReason } from "../system-reason.js";
import type { Mistake } from "./mistakes.js";

/** The maximum length of a file. A tunnel takes about 150 bytes. */
const MAX_FILE_BYTES = 256 * 1_024;

/** The maximum number of files in a folder. */
const MAX_FILES = 1_000;

/** How long reading all files may take. */
const LIMIT_MS = 10_000;

/** How often, and at what interval, to try a file that is being written. */
const ATTEMPTS = 5;
const RETRY_MS = 100;

/** The text of a file. */
export interface ConfigText {
  readonly path: string;
  readonly text: string;
}

/** The files that could be read, and the mistakes for those that could not. */
export interface ConfigTexts {
  readonly texts: readonly ConfigText[];
  readonly mistakes: readonly Mistake[];
}

/** The current read, which may hang; undefined if there is none. */
let pending: Promise<ConfigTexts> | undefined;

/** Reads a file, or a folder's files in the order of their names. */
export async function readConfigTexts(path: string): Promise<ConfigTexts> {
  // A mount that hangs blocks one of Node.js's threads, which handshakes need. Do not start a second read.
  if (pending !== undefined) return failure(path, "an earlier attempt to read it has not come to its end yet");
  const reading = readAll(path).finally(() => {
    pending = undefined;
  });
  pending = reading;
  let timer: NodeJS.Timeout | undefined;
  const timeout = new Promise<ConfigTexts>((resolve) => {
    const onTimeout = () => resolve(failure(path, `it did not come to its end within ${LIMIT_MS / 1_000} s`));
    timer = setTimeout(onTimeout, LIMIT_MS);
  });
  try {
    return await Promise.race([reading, timeout]);
  } finally {
    clearTimeout(timer);
  }
}

async function readAll(path: string): Promise<ConfigTexts> {
  const one = await read(path);
  if (one !== "folder") return "text" in one ? { texts: [one], mistakes: [] } : { texts: [], mistakes: [one] };
  const folder = path.replace(/(?<=.)\/+$/, "");
  let names: readonly string[];
  try {
    names = (await readdir(pathBytes(path), { encoding: "buffer" })).map(textOfBytes);
  } catch (error) {
    return failure(path, reason(error));
  }
  const files = names.filter(isConfigFile).sort();
  if (files.length === 0) return failure(path, "the folder has no file whose name ends in .toml");
  if (files.length > MAX_FILES) return failure(path, `the folder has more than ${MAX_FILES} files`);
  const texts: ConfigText[] = [];
  const mistakes: Mistake[] = [];
  for (const name of files) {
    const file = `${folder === "/" ? "" : folder}/${name}`;
    const result = await read(file);
    if (result === "folder") mistakes.push(mistake(file, "it is a folder"));
    else if ("text" in result) texts.push(result);
    else mistakes.push(result);
  }
  return { texts, mistakes };
}

/** Whether a file in a configuration folder is part of it. Names that begin with a dot are hidden files, or an editor's. */
export function isConfigFile(name: string): boolean {
  return /^[^.].*\.toml$/s.test(name);
}

async function read(path: string): Promise<ConfigText | Mistake | "folder"> {
  for (let attempt = 1; ; attempt += 1) {
    let handle: FileHandle | undefined;
    try {
      // Opening a pipe without a writer must not block.
      handle = await open(pathBytes(path), constants.O_RDONLY | (constants.O_NONBLOCK ?? 0));
      const before = await handle.stat({ bigint: true });
      if (before.isDirectory()) return "folder";
      if (!before.isFile()) return mistake(path, "it is no file");
      const bytes = await readBytes(handle);
      const after = await handle.stat({ bigint: true });
      if (bytes.length > MAX_FILE_BYTES) return mistake(path, `it is longer than ${MAX_FILE_BYTES / 1_024} KiB`);
      if (before.mtimeNs === after.mtimeNs && before.size === after.size) return checked(path, bytes);
      if (attempt === ATTEMPTS) return mistake(path, "it is being written; move a file that is whole to this name");
    } catch (error) {
      const hint = codeOf(error) === "ENOENT" ? homeHint(path) : undefined;
      return mistake(path, hint === undefined ? reason(error) : `${reason(error)}; ${hint}`);
    } finally {
      await handle?.close();
    }
    await new Promise((resolve) => setTimeout(resolve, RETRY_MS));
  }
}

/** Reads all bytes, or one more than the limit. */
async function readBytes(handle: FileHandle): Promise<Buffer> {
  const bytes = Buffer.alloc(MAX_FILE_BYTES + 1);
  let length = 0;
  while (length < bytes.length) {
    const { bytesRead } = await handle.read(bytes, length, bytes.length - length, length);
    if (bytesRead === 0) break;
    length += bytesRead;
  }
  return bytes.subarray(0, length);
}

function checked(path: string, bytes: Buffer): ConfigText | Mistake {
  if (!isUtf8(bytes)) return mistake(path, "it is not UTF-8");
  // Some editors start a file with a byte order mark.
  const text = bytes.toString().replace(/^\ufeff/, "");
  return { path, text };
}

const REASONS: Readonly<Record<string, string>> = {
  ENOENT: "there is no such file",
  EACCES: "permission denied (EACCES)",
  ENOTDIR: "part of its path is not a folder",
  ELOOP: "its links lead in a circle",
  ENXIO: "it is a socket, or a device that is not there",
};

function reason(error: unknown): string {
  return `cannot be read: ${REASONS[codeOf(error) ?? ""] ?? systemReason(error)}`;
}

function mistake(file: string, message: string): Mistake {
  return { file, line: undefined, path: [], message };
}

function failure(file: string, message: string): ConfigTexts {
  return { texts: [], mistakes: [mistake(file, message)] };
}
