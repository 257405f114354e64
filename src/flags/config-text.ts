/**
 * Reads what a configuration is written in: a file, or all files of a folder whose names end in `.toml`.
 *
 * A path can be anything: a pipe that nobody writes to, a device without an end, a mount that does not answer, a file that
 * somebody is writing. Each comes to an end here, and to a message.
 */

import { isUtf8 } from "node:buffer";
import { constants } from "node:fs";
import { type FileHandle, open, readdir } from "node:fs/promises";
import { codeOf, messageOf } from "../errors.js";
import { pathBytes, textOfBytes } from "../paths.js";
import type { Mistake } from "./mistakes.js";

/** The most bytes that a file may have: a tunnel takes about 150. */
const MAX_FILE_BYTES = 256 * 1_024;

/** The most files of a folder. */
const MAX_FILES = 1_000;

/** How long all of it may take. */
const LIMIT_MS = 10_000;

/** A file that is being written is read so often, with so much time in between. */
const ATTEMPTS = 5;
const AGAIN_MS = 100;

/** A file that was read. */
export interface ConfigText {
  readonly path: string;
  readonly text: string;
}

/** What could be read, and what could not. */
export interface ConfigTexts {
  readonly texts: readonly ConfigText[];
  readonly mistakes: readonly Mistake[];
}

/** The reading that has not come to its end, however long ago it began. */
let pending: Promise<ConfigTexts> | undefined;

/** Reads a file, or a folder's files in the order of their names. */
export async function readConfigTexts(path: string): Promise<ConfigTexts> {
  // A mount that hangs costs a thread of Node.js's, and handshakes need those: one is enough.
  if (pending !== undefined) return failure(path, "an earlier attempt to read it has not come to its end yet");
  const reading = readAll(path).finally(() => {
    pending = undefined;
  });
  pending = reading;
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<ConfigTexts>((resolve) => {
    const tell = () => resolve(failure(path, `it did not come to its end within ${LIMIT_MS / 1_000} s`));
    timer = setTimeout(tell, LIMIT_MS);
  });
  try {
    return await Promise.race([reading, late]);
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
  // A name with a dot before it is hidden, or an editor's.
  const files = names.filter((name) => /^[^.].*\.toml$/s.test(name)).sort();
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

async function read(path: string): Promise<ConfigText | Mistake | "folder"> {
  for (let attempt = 1; ; attempt += 1) {
    let handle: FileHandle | undefined;
    try {
      // A pipe without a writer must not hold the start up.
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
      return mistake(path, reason(error));
    } finally {
      await handle?.close();
    }
    await new Promise((wake) => setTimeout(wake, AGAIN_MS));
  }
}

/** All bytes, or one more than are taken. */
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
  // Some editors begin a file with a byte order mark.
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
  return `cannot be read: ${REASONS[codeOf(error) ?? ""] ?? messageOf(error)}`;
}

function mistake(file: string, message: string): Mistake {
  return { file, line: undefined, path: [], message };
}

function failure(file: string, message: string): ConfigTexts {
  return { texts: [], mistakes: [mistake(file, message)] };
}
