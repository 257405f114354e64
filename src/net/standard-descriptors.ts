/**
 * Inspects descriptors 0 and 1 before `spipe` uses them: whether they are usable, and whether they are pipes that can be
 * reopened. Other processes may share them, so their flags are never changed.
 */

import { constants, fstatSync, openSync, readlinkSync, type Stats, statSync } from "node:fs";
import { getSystemErrorMap } from "node:util";
import { SpipedError } from "../errors.js";
import { addon } from "../native/native.js";
import { hasProc } from "../platform.js";

export const INPUT = 0;
export const OUTPUT = 1;
export const ERROR = 2;
const STANDARD = [INPUT, OUTPUT, ERROR] as const;

export type StandardDescriptor = typeof INPUT | typeof OUTPUT;

/** Printable names. */
export const STREAM_NAMES: Readonly<Record<StandardDescriptor, string>> = {
  [INPUT]: "standard input",
  [OUTPUT]: "standard output",
};

/**
 * Checks that standard input can be read, or that standard output can be written.
 *
 * @throws SpipedError `SPIPED_USAGE`
 */
export function checkDescriptor(descriptor: StandardDescriptor): void {
  const name = STREAM_NAMES[descriptor];
  const { readable, writable } = addon.accessMode(descriptor);
  if (isClosed(descriptor)) {
    const [sign, does] = descriptor === INPUT ? ["<", "sends nothing"] : [">", "discards all data"];
    throw new SpipedError("SPIPED_USAGE", `${name} is closed`, {
      hint: `"${sign} /dev/null" ${does}; a /dev/null that is open for both reading and writing can look closed`,
    });
  }
  if (descriptor === INPUT && !readable) {
    throw new SpipedError("SPIPED_USAGE", `${name} cannot be read: it is open for writing only`);
  }
  if (descriptor === OUTPUT && !writable) {
    throw new SpipedError("SPIPED_USAGE", `${name} cannot be written: it is open for reading only`);
  }
  if (fstatSync(descriptor).isDirectory()) {
    throw new SpipedError("SPIPED_USAGE", `${name} is a folder`);
  }
}

/** Whether the descriptor was closed when this process started, as far as that can be determined. */
export function isClosed(descriptor: (typeof STANDARD)[number]): boolean {
  const { readable, writable } = addon.accessMode(descriptor);
  return readable && writable && wasClosed(descriptor);
}

/**
 * Whether the descriptor was closed when this process started. Before any of our code runs, Node opens /dev/null for
 * reading and writing in place of a closed descriptor. That looks the same as a /dev/null that the parent opened in this
 * mode, unless the open file is shared with the parent or another standard descriptor, or is the /dev/null of another file
 * system. A parent that opens /dev/null read-write for a single descriptor is rejected wrongly; but accepting a closed
 * output would silently lose data. Shells, service managers and container engines open /dev/null for one direction, and
 * daemons open it once for all three descriptors.
 *
 * On systems that cannot check for sharing, the descriptor counts as open.
 *
 * Source: docs/lifecycle.md, "Standard streams".
 */
function wasClosed(descriptor: (typeof STANDARD)[number]): boolean {
  const { pid, ppid } = process;
  // The parent of a container's first process is not visible, and opens /dev/null for both directions.
  if (!hasProc() || ppid === 0 || !isDevNull(fstatSync(descriptor))) return false;
  const isShared = STANDARD.some(
    (other) => other !== descriptor && addon.isSameOpenFile(pid, descriptor, pid, other) === true,
  );
  return !isShared && addon.isSameOpenFile(pid, descriptor, ppid, descriptor) !== true;
}

function isDevNull(status: Stats): boolean {
  try {
    const { dev, ino } = statSync("/dev/null");
    return status.dev === dev && status.ino === ino;
  } catch {
    return false;
  }
}

/**
 * Reopens a pipe, which creates an open file description of our own: it can be non-blocking without affecting the
 * processes that share the original. The caller owns the descriptor.
 *
 * @returns Undefined if the descriptor is not a pipe, or cannot be reopened: it belongs to another user, or there is no
 * /proc. FIFOs are not reopened: if the last writer has gone, the end would never be reported.
 */
export function reopenPipe(descriptor: StandardDescriptor): number | undefined {
  const path = `/proc/self/fd/${descriptor}`;
  const mode = descriptor === INPUT ? constants.O_RDONLY : constants.O_WRONLY;
  try {
    // For anything that has a path, the link starts with a slash.
    return readlinkSync(path).startsWith("pipe:[") ? openSync(path, mode | constants.O_NONBLOCK) : undefined;
  } catch {
    return undefined;
  }
}

/** An error with the system's message, in the format of Node's system errors. */
export function systemError(errno: number): Error {
  const [code, words] = getSystemErrorMap().get(-errno) ?? [`errno ${errno}`, "unknown system error"];
  return Object.assign(new Error(`${code}: ${words}`), { code });
}
