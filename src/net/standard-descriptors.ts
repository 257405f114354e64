/**
 * What the descriptors 0 and 1 are, before `spipe` uses them: whether it can at all, and whether they are pipes that it
 * may open once more. They belong to others too, so nothing about them is changed.
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

/** Names for people. */
export const STREAM_NAMES: Readonly<Record<StandardDescriptor, string>> = {
  [INPUT]: "standard input",
  [OUTPUT]: "standard output",
};

/**
 * Refuses what cannot be read to its end, or written.
 *
 * @throws SpipedError `SPIPED_USAGE`
 */
export function checkDescriptor(descriptor: StandardDescriptor): void {
  const name = STREAM_NAMES[descriptor];
  const { readable, writable } = addon.accessMode(descriptor);
  if (isClosed(descriptor)) {
    const [sign, does] = descriptor === INPUT ? ["<", "sends nothing"] : [">", "drops what comes"];
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

/** Whether nobody gave this process the descriptor, as far as that can be told. */
export function isClosed(descriptor: (typeof STANDARD)[number]): boolean {
  const { readable, writable } = addon.accessMode(descriptor);
  return readable && writable && wasClosed(descriptor);
}

/**
 * Whether nobody gave this process the descriptor. Node.js opens /dev/null for reading and writing in the place of a
 * closed one before any code of ours runs, and nothing tells that file from one that was opened so on purpose: except
 * that an inherited one may be shared, or the /dev/null of another file system. Whoever opens one in that way for one
 * descriptor alone is refused wrongly; to take closed output for it would lose data without a word. Shells, service
 * managers and container engines open it for the one direction, daemons once for all three descriptors.
 *
 * On systems where the check for sharing is missing, the descriptor counts as given.
 *
 * Source: docs/lifecycle.md, "Standard streams".
 */
function wasClosed(descriptor: (typeof STANDARD)[number]): boolean {
  const { pid, ppid } = process;
  // The parent of a container's first process is out of sight, and hands out a /dev/null for both directions.
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
 * Opens a pipe once more, for an open file description of our own: it can be non-blocking while everybody else's stays
 * as it is. The caller owns the descriptor.
 *
 * @returns Undefined where the descriptor is no pipe, and where the system does not let us: another user's pipe, no
 * /proc. A FIFO is not opened: one whose last writer has gone would never report its end.
 */
export function reopenPipe(descriptor: StandardDescriptor): number | undefined {
  const path = `/proc/self/fd/${descriptor}`;
  const mode = descriptor === INPUT ? constants.O_RDONLY : constants.O_WRONLY;
  try {
    // The link of anything that has a path begins with a slash.
    return readlinkSync(path).startsWith("pipe:[") ? openSync(path, mode | constants.O_NONBLOCK) : undefined;
  } catch {
    return undefined;
  }
}

/** An error with the system's own words, as Node.js makes them. */
export function systemError(errno: number): Error {
  const [code, words] = getSystemErrorMap().get(-errno) ?? [`errno ${errno}`, "an error of the system"];
  return Object.assign(new Error(`${code}: ${words}`), { code });
}
