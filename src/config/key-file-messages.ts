/**
 * Messages about key files: why one cannot be read or written, hints, and warnings.
 */

import { dirname } from "node:path";
import { codeOf, messageOf, SpipedError } from "../errors.js";
import type { KeyFile } from "../native/native.js";
import { homeHint } from "../paths.js";
import { hasFileModes } from "../platform.js";
import { systemReason } from "../system-reason.js";

/** The length in bytes below which guessing the key is easier than breaking the encryption. */
const ENOUGH_BYTES = 32;

const MAKE_ONE = "make one with spiped keygen FILE, and copy it to the other machine";

const REASONS: Readonly<Record<string, string>> = {
  ENOENT: "there is no such file",
  EACCES: "permission denied",
  EEXIST: "it exists already",
  EISDIR: "it is a folder",
  ENOTDIR: "part of its path is not a folder",
  ENOSPC: "the disk is full",
  EROFS: "the disk is read-only",
  ENXIO: "it is a socket, or a device that is not there",
  EBADF: "spiped was not given this descriptor, or holds its other end too",
};

const KINDS: Readonly<Record<NonNullable<KeyFile["kind"]>, string>> = {
  file: "a file",
  folder: "a folder",
  pipe: "a pipe",
  socket: "a socket",
  device: "a device",
};

/**
 * The system refused access.
 *
 * @param instead - The hint if descriptors and pipes cannot be used.
 */
export function failed(path: string, file: KeyFile, instead?: string): SpipedError {
  const code = file.failure ?? "";
  return unreadable(path, REASONS[code] ?? file.failureText ?? code, hintOf(path, code, file, instead));
}

/** No thread could be started to read the file. */
export function noThread(path: string, cause: unknown): SpipedError {
  return unreadable(
    path,
    messageOf(cause),
    "more tasks must be allowed: the limit of the user, TasksMax= of a unit, pids of a container",
  );
}

/** The file, or standard input, is empty. */
export function empty(path: string): SpipedError {
  const hint = path === "-" ? "did the command that writes the key fail?" : MAKE_ONE;
  return unreadable(path, "it is empty, so everybody knows this key", hint);
}

/** The file is too long. */
export function tooLong(path: string, limitBytes: number): SpipedError {
  return unreadable(path, `it is longer than ${limitBytes / 1_024 / 1_024} MiB`, MAKE_ONE);
}

/** Reading took too long: nobody writes to the pipe, or the mount does not respond. */
export function tooSlow(path: string, limitMs: number, instead?: string): SpipedError {
  const hint = instead === undefined ? undefined : `${instead}, and waits as long as it takes`;
  return unreadable(path, `it did not come to its end within ${limitMs / 1_000} s`, hint);
}

/** The file changed at every attempt to read it. */
export function changing(path: string): SpipedError {
  return unreadable(path, "it is being written", "write another file, and move it to this name when it is whole");
}

/** The thread of an earlier attempt still waits for the same file. */
export function stillReading(path: string): SpipedError {
  return unreadable(path, "an earlier attempt has not come to its end yet");
}

/** The key came from something that can be read only once. */
export function notReadAgain(path: string, file: KeyFile | undefined): SpipedError {
  if (file === undefined || file.namesDescriptor) {
    const where = path === "-" ? "standard input" : `descriptor ${path}`;
    return new SpipedError("SPIPED_KEY_FILE", `the key came from ${where} and cannot be read again`);
  }
  return unreadable(path, `it is ${KINDS[file.kind ?? "device"]}, and only a file is read again`);
}

/** There is something other than a file in a key folder. */
export function notInFolder(path: string, file: KeyFile): SpipedError {
  const what = file.namesDescriptor ? "a descriptor of spiped's own" : KINDS[file.kind ?? "device"];
  return unreadable(path, `it is ${what}, and only files are keys in a folder`);
}

/** The path is standard input, which has the data of `spipe`. */
export function standardInput(path: string): SpipedError {
  return new SpipedError("SPIPED_KEY_FILE", `key file ${path} is standard input, which has the data; name a file`);
}

/** The new key file cannot be written. */
export function unwritable(path: string, cause: unknown): SpipedError {
  const code = codeOf(cause) ?? "";
  const folder = dirname(path);
  const [reason, hint] = {
    ENOENT: [`there is no folder ${folder}`, homeHint(path) ?? "make that folder first"],
    EEXIST: ["it exists already", "keys are never overwritten; choose another name"],
    EACCES: ["permission denied", `choose a folder that you may write to; ${folder} is not one`],
  }[code] ?? [REASONS[code] ?? systemReason(cause), undefined];
  return new SpipedError("SPIPED_KEY_FILE", `cannot write key file ${path}: ${reason}`, { cause, hint });
}

/** The user that reloads a key file: that of `-u`, which is not yet the one of this process at startup. */
export interface KeyReader {
  readonly uid: number;
  /** As `chown` takes it. */
  readonly name: string;
}

/** Warnings about a key file that was read, one line each. */
export function warningsOf(path: string, file: KeyFile, reader?: KeyReader): readonly string[] {
  const name = nameOf(path);
  const warnings: string[] = [];
  // On Windows the mode says nothing about who can read the file.
  if (hasFileModes() && file.kind === "file") warnings.push(...warningsOfMode(name, file, reader));
  if (file.lengthBytes < ENOUGH_BYTES) {
    const length = `${file.lengthBytes} ${file.lengthBytes === 1 ? "byte" : "bytes"}`;
    warnings.push(`key file ${name} has only ${length}, so the key can be guessed; ${MAKE_ONE}`);
  } else if (file.contents === "text") {
    warnings.push(`key file ${name} is printable text, and a passphrase can be guessed; ${MAKE_ONE}`);
  }
  return warnings;
}

function warningsOfMode(name: string, file: KeyFile, reader: KeyReader | undefined): readonly string[] {
  const warnings: string[] = [];
  const mode = file.mode ?? 0;
  const here = "everybody on this machine";
  if ((mode & 0o004) !== 0) warnings.push(`key file ${name} can be read by ${here}; ${onlyFor(file, reader)}`);
  if ((mode & 0o022) !== 0) {
    warnings.push(`key file ${name} can be changed by ${(mode & 0o002) !== 0 ? here : "its group"}; chmod go-w it`);
  }
  return warnings;
}

/** What lets only the user that reads the file read it. `chmod 600` alone would lock out all but its owner. */
function onlyFor({ uid: owner }: KeyFile, reader: KeyReader | undefined): string {
  const uid = reader?.uid ?? process.geteuid?.();
  if (uid === undefined || uid === 0 || owner === null || owner === uid) return "chmod 600 it";
  return `chown ${reader?.name ?? uid} it, and chmod 600`;
}

function unreadable(path: string, reason: string, hint?: string): SpipedError {
  const message = `cannot read key file ${nameOf(path)}: ${reason}`;
  return new SpipedError("SPIPED_KEY_FILE", message, hint === undefined ? {} : { hint });
}

function nameOf(path: string): string {
  return path === "-" ? "standard input" : path;
}

/** The hint if a key file cannot be read. It distinguishes the usual mistakes with containers. */
function hintOf(path: string, code: string, file: KeyFile, instead: string | undefined): string {
  if (file.namesDescriptor && instead !== undefined) return instead;
  switch (code) {
    case "EACCES":
      if (process.geteuid === undefined) return "let the user that runs spiped read it";
      return `${ownerOf(file)} spiped runs as user ${process.geteuid()} and must be able to read it`;
    case "EISDIR":
      return "name a key file in it, since only the decrypting end takes a folder; Docker makes a folder where a mounted file is missing on the host";
    default:
      return (code === "ENOENT" ? homeHint(path) : undefined) ?? `check the path; if there is no key yet, ${MAKE_ONE}`;
  }
}

/** The owner of the file, as the beginning of a sentence; or that a folder in its path denies access. */
function ownerOf({ uid, mode }: KeyFile): string {
  if (uid === null || mode === null) return "a folder above it denies access;";
  return `it belongs to user ${uid}, with mode ${mode.toString(8).padStart(4, "0")};`;
}
