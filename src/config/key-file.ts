/**
 * Reads key files. The contents go in pieces through one buffer into the addon, which hashes them; the buffer is
 * wiped, so that no JavaScript value holds the key.
 */

import {
  closeSync,
  constants,
  fstatSync,
  fsyncSync,
  openSync,
  readSync,
  statSync,
  unlinkSync,
  writeSync,
} from "node:fs";
import { type FileHandle, open } from "node:fs/promises";
import { codeOf, messageOf, SpipedError } from "../errors.js";
import { pathBytes } from "../paths.js";
import { createKeyHasher, type SharedKey } from "../protocol/secret.js";

/** Length of a key file that {@link generateKeyFile} writes, in bytes. */
export const GENERATED_KEY_LENGTH = 32;

const STANDARD_INPUT = 0;

/** Files are read in pieces of this many bytes. */
const PIECE_LENGTH = 64 * 1_024;

/** A key that was read, and what its owner should know about the file. */
export interface ReadKey {
  readonly key: SharedKey;
  /** One line each, for people: the file is empty, or others can read it. */
  readonly warnings: readonly string[];
}

/**
 * Reads a key file whole.
 *
 * @param path - The file; `-` for standard input to its end.
 * @throws SpipedError `SPIPED_KEY_FILE` where it cannot be read.
 */
export function readKeyFile(path: string): ReadKey {
  const name = path === "-" ? "standard input" : path;
  let descriptor: number | undefined;
  try {
    descriptor = path === "-" ? STANDARD_INPUT : openSync(pathBytes(path), constants.O_RDONLY);
    const status = fstatSync(descriptor);
    if (status.isDirectory()) throw Object.assign(new Error("it is a folder"), { code: "EISDIR" });
    const { key, lengthBytes } = hashContents(descriptor);
    const warnings: string[] = [];
    if (lengthBytes === 0) warnings.push(`key file ${name} is empty: everybody knows this key`);
    // On Windows the mode says nothing about who can read the file.
    if (process.platform !== "win32" && status.isFile() && (status.mode & 0o004) !== 0) {
      warnings.push(`key file ${name} can be read by everybody on this machine; chmod 600 it`);
    }
    return { key, warnings };
  } catch (cause) {
    throw unreadable(path, cause);
  } finally {
    if (descriptor !== undefined && descriptor !== STANDARD_INPUT) closeSync(descriptor);
  }
}

/**
 * Reads a key file whole, for programs that have other things to do meanwhile; an empty file is refused.
 *
 * @throws SpipedError `SPIPED_KEY_FILE` where it cannot be read.
 */
export async function readKeyFileMeanwhile(path: string): Promise<SharedKey> {
  const hasher = createKeyHasher();
  const buffer = new Uint8Array(PIECE_LENGTH);
  let file: FileHandle | undefined;
  try {
    file = await open(pathBytes(path), constants.O_RDONLY);
    for (let lengthBytes = 0; ; ) {
      const { bytesRead } = await file.read(buffer);
      if (bytesRead === 0 && lengthBytes === 0) throw new Error("it is empty, so everybody knows this key");
      if (bytesRead === 0) return hasher.finish();
      lengthBytes += bytesRead;
      hasher.update(buffer.subarray(0, bytesRead));
    }
  } catch (cause) {
    throw unreadable(path, cause);
  } finally {
    buffer.fill(0);
    hasher.destroy();
    await file?.close();
  }
}

/**
 * Writes a new key file: 32 random bytes, mode 0600.
 *
 * @param path - Must not exist.
 * @param random - Fills memory with random bytes.
 * @throws SpipedError `SPIPED_KEY_FILE` where it exists or cannot be written.
 */
export function generateKeyFile(path: string, random: (memory: Uint8Array) => void): void {
  const bytes = new Uint8Array(GENERATED_KEY_LENGTH);
  let descriptor: number | undefined;
  try {
    // O_EXCL: a key that is in use is never overwritten, and a link to elsewhere is not followed.
    descriptor = openSync(pathBytes(path), constants.O_WRONLY | constants.O_CREAT | constants.O_EXCL, 0o600);
    random(bytes);
    let written = 0;
    while (written < bytes.length) written += writeSync(descriptor, bytes, written);
    fsyncSync(descriptor);
  } catch (cause) {
    // Half a key must not be taken for one, nor stand in the way of the next attempt.
    if (descriptor !== undefined) unlinkSync(pathBytes(path));
    throw new SpipedError("SPIPED_KEY_FILE", `cannot write key file ${path}: ${reason(cause)}`, {
      cause,
      ...(codeOf(cause) === "EEXIST" ? { hint: "an existing key is never overwritten; take another name" } : {}),
    });
  } finally {
    bytes.fill(0);
    if (descriptor !== undefined) closeSync(descriptor);
  }
}

function hashContents(descriptor: number): { readonly key: SharedKey; readonly lengthBytes: number } {
  const hasher = createKeyHasher();
  const buffer = new Uint8Array(PIECE_LENGTH);
  let lengthBytes = 0;
  try {
    for (;;) {
      const count = readPiece(descriptor, buffer);
      if (count === 0) return { key: hasher.finish(), lengthBytes };
      lengthBytes += count;
      hasher.update(buffer.subarray(0, count));
    }
  } finally {
    buffer.fill(0);
    hasher.destroy();
  }
}

function readPiece(descriptor: number, buffer: Uint8Array): number {
  for (;;) {
    try {
      return readSync(descriptor, buffer);
    } catch (cause) {
      const code = codeOf(cause);
      if (code === "EOF") return 0;
      // Standard input may be a pipe that somebody made non-blocking; its writer has more time.
      if (code !== "EAGAIN") throw cause;
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 20);
    }
  }
}

/** What helps where a key file cannot be read: the usual mistakes with containers are told apart. */
function hintOf(cause: unknown, path: string): string {
  switch (codeOf(cause)) {
    case "EACCES":
      if (process.geteuid === undefined) return "let the user that runs spiped read it";
      return `${ownerOf(path)} spiped runs as user ${process.geteuid()}, who must be able to read it`;
    case "EISDIR":
      return "name the file in it; of a mounted file that is missing outside, Docker makes a folder";
    default:
      return "make one with spiped keygen FILE, and copy it to both machines";
  }
}

/** Whose the file is, as the beginning of a sentence; nothing where a folder on the way hides it. */
function ownerOf(path: string): string {
  try {
    const { uid, mode } = statSync(pathBytes(path));
    return `it belongs to user ${uid}, with mode ${(mode & 0o7777).toString(8).padStart(4, "0")};`;
  } catch {
    return "a folder on the way to it lets nobody else in;";
  }
}

const REASONS: Readonly<Record<string, string>> = {
  ENOENT: "there is no such file",
  EACCES: "permission denied",
  EEXIST: "it exists already",
  EISDIR: "it is a folder",
  ENOTDIR: "a part of its path is no folder",
  ENOSPC: "the disk is full",
  EROFS: "the disk is read-only",
};

function unreadable(path: string, cause: unknown): SpipedError {
  const name = path === "-" ? "standard input" : path;
  return new SpipedError("SPIPED_KEY_FILE", `cannot read key file ${name}: ${reason(cause)}`, {
    cause,
    hint: hintOf(cause, path),
  });
}

function reason(cause: unknown): string {
  return REASONS[codeOf(cause) ?? ""] ?? messageOf(cause);
}
