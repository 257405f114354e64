/**
 * The pid file. It is locked from before the daemon listens until it is told to stop, or dies: a second daemon with the same
 * file does not start, and the file of a killed one is taken over. It is written when the daemon is ready, and removed on
 * exit if it is still this daemon's.
 *
 * Often root writes it into a folder of another user. Differs from spiped: there any file at the path is overwritten, and
 * links are followed.
 */

import { dirname } from "node:path";
import { codeOf, SpipedError } from "../errors.js";
import { addon } from "../native/native.js";
import { tryToWriteIn } from "../net/file-trial.js";
import { homeHint, pathBytes } from "../paths.js";
import { systemReason } from "../system-reason.js";

/** As long as a process id. */
const TRIAL = "1234567";

/** A pid file that this process has locked. */
export class PidFile {
  readonly #path: string;
  readonly #file: InstanceType<typeof addon.LockedFile>;
  #text = "";

  private constructor(path: string, file: InstanceType<typeof addon.LockedFile>) {
    this.#path = path;
    this.#file = file;
  }

  /**
   * Locks the file, and leaves its contents as they are.
   *
   * @throws SpipedError `SPIPED_PID_FILE` if another daemon has locked it, or it cannot be written.
   */
  static take(path: string): PidFile {
    let file: InstanceType<typeof addon.LockedFile>;
    let text: string;
    try {
      file = new addon.LockedFile(pathBytes(path));
      text = file.read();
    } catch (cause) {
      throw cannotWrite(path, cause);
    }
    if (!file.isHeld) {
      throw new SpipedError(
        "SPIPED_PID_FILE",
        `already running as pid ${text || "(not yet written)"}, according to ${path}`,
        {
          hint: "stop that one first, or choose another pid file with -p",
        },
      );
    }
    try {
      mustBePidFile(text);
    } catch (cause) {
      throw cannotWrite(path, cause);
    }
    return new PidFile(path, file);
  }

  /**
   * Checks whether the file could be locked, and has room for a process id. Neither creates nor locks it, so a daemon that
   * starts in the meantime does not notice.
   *
   * @returns Its contents if another daemon has locked it.
   * @throws SpipedError `SPIPED_PID_FILE` if it cannot be written.
   */
  static holderOf(path: string, tryToWrite = tryToWriteIn): string | undefined {
    try {
      const state = addon.LockedFile.look(pathBytes(path));
      if (state?.isLocked) return state.text;
      if (state === null) tryToWrite(dirname(path), TRIAL);
      else mustBePidFile(state.text);
      // A file that has a pid has room for another one.
      if (state?.text === "") mustHaveRoom(dirname(path), tryToWrite);
      return undefined;
    } catch (cause) {
      throw cannotWrite(path, cause);
    }
  }

  /** Writes the process id, in decimal digits without a line break, as the C original does. */
  write(): void {
    this.#text = String(process.pid);
    try {
      this.#file.write(this.#text);
    } catch (cause) {
      this.#discard();
      throw cannotWrite(this.#path, cause);
    }
  }

  /** Unlocks the file for the next daemon, which may start before this one's last connections have ended. */
  release(): void {
    this.#file.release();
  }

  /**
   * Removes the file, unless another daemon has locked or written it, or another file has replaced it. A file that was
   * there before and has not been written stays.
   *
   * @throws SpipedError `SPIPED_PID_FILE` if permissions do not allow it, as after `-u`; the file is then at least emptied.
   */
  remove(): void {
    try {
      if (!this.#file.holdAgain()) return;
      const isOurs = this.#text === "" ? this.#file.isNew : this.#file.read() === this.#text;
      if (isOurs) this.#file.remove();
    } catch (cause) {
      this.#discard();
      throw new SpipedError("SPIPED_PID_FILE", `cannot remove pid file ${this.#path}: ${reason(cause)}`, { cause });
    }
  }

  /** Without an id, the file cannot name another process that gets the same id later. */
  #discard(): void {
    try {
      this.#file.write("");
      this.#file.remove();
    } catch {
      // The first error is the one to report.
    }
  }
}

function mustBePidFile(text: string): void {
  if (!/^\s*\d*\s*$/.test(text)) throw Object.assign(new Error("not a pid file"), { code: "EEXIST" });
}

/** For a file that is there, the folder need not be writable. */
function mustHaveRoom(folder: string, tryToWrite: typeof tryToWriteIn): void {
  try {
    tryToWrite(folder, TRIAL);
  } catch (error) {
    if (["ENOSPC", "EDQUOT"].includes(codeOf(error) ?? "")) throw error;
  }
}

const REASONS: Readonly<Record<string, string>> = {
  ELOOP: "it is a link, and anybody who may write to its folder can make one",
  EMLINK: "the file has a second name, and anybody who may write to its folder can make one",
  EISDIR: "it is a folder",
  ENXIO: "it is no regular file",
  EPERM: "the file belongs to another user",
  EEXIST: "there is a file of that name that is no pid file",
  EACCES: "permission denied (EACCES)",
  ENOENT: "there is no such folder",
  ENOTDIR: "part of its path is not a folder",
  ENOSPC: "the disk is full",
  EDQUOT: "the disk quota is used up",
  EROFS: "the disk is read-only",
};

function reason(cause: unknown): string {
  return REASONS[codeOf(cause) ?? ""] ?? systemReason(cause);
}

function cannotWrite(path: string, cause: unknown): SpipedError {
  const code = codeOf(cause) ?? "";
  const hint = ["ELOOP", "EMLINK", "EPERM", "EEXIST"].includes(code)
    ? "remove it if it is an old pid file, or choose another with -p"
    : code === "ENOENT"
      ? (homeHint(path) ?? `make the folder ${dirname(path)}, or choose another pid file with -p`)
      : "choose another with -p, or stay in the foreground with -F";
  return new SpipedError("SPIPED_PID_FILE", `cannot write pid file ${path}: ${reason(cause)}`, { cause, hint });
}
