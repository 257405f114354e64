/**
 * The pid file. It is held from before the daemon listens until it is told to end, or dies, so that a second one with
 * the same file does not start, and what a killed one has left is taken over. It is written when the daemon is ready,
 * and removed at its end if it is still this daemon's.
 *
 * Often the superuser writes it, into a folder that may be somebody else's. Differs from spiped: there whatever lies at
 * the path is overwritten, behind a link too.
 */

import { accessSync, constants, lstatSync } from "node:fs";
import { dirname } from "node:path";
import { codeOf, messageOf, SpipedError } from "../errors.js";
import { addon } from "../native/native.js";
import { pathBytes } from "../paths.js";

/** A pid file that this process holds. */
export class PidFile {
  readonly #path: string;
  readonly #file: InstanceType<typeof addon.LockedFile>;
  #text = "";

  private constructor(path: string, file: InstanceType<typeof addon.LockedFile>) {
    this.#path = path;
    this.#file = file;
  }

  /**
   * Takes hold of the file, and leaves what is in it.
   *
   * @throws SpipedError `SPIPED_PID_FILE` where another daemon has it, or where it is no file that may be written.
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
      throw new SpipedError("SPIPED_PID_FILE", `already runs as pid ${text || "(not yet written)"}, says ${path}`, {
        hint: "stop that one first, or name another pid file with -p",
      });
    }
    if (!/^\s*\d*\s*$/.test(text)) {
      throw cannotWrite(path, Object.assign(new Error("not a pid file"), { code: "EEXIST" }));
    }
    return new PidFile(path, file);
  }

  /**
   * Looks whether the file could be taken, and makes none.
   *
   * @returns What is in it where another daemon has it.
   * @throws SpipedError `SPIPED_PID_FILE` where it is no file that may be written.
   */
  static holderOf(path: string): string | undefined {
    try {
      if (lstatSync(Buffer.from(pathBytes(path)), { throwIfNoEntry: false }) === undefined) {
        accessSync(dirname(path), constants.W_OK | constants.X_OK);
        return undefined;
      }
      const file = new addon.LockedFile(pathBytes(path));
      if (!file.isHeld) return file.read();
      file.release();
    } catch (cause) {
      throw cannotWrite(path, cause);
    }
    PidFile.take(path).release();
    return undefined;
  }

  /** Writes this process's id, in decimal digits and without a line break, as the original does. */
  write(): void {
    this.#text = String(process.pid);
    try {
      this.#file.write(this.#text);
    } catch (cause) {
      this.#discard();
      throw cannotWrite(this.#path, cause);
    }
  }

  /** Makes room for the next daemon, which may start before this one's last connections have ended. */
  release(): void {
    this.#file.release();
  }

  /**
   * Removes the file unless another daemon has it, it holds another process's id, or another file has taken its place.
   * What was there before, and has not been written, stays.
   *
   * @throws SpipedError `SPIPED_PID_FILE` where permissions do not allow it, as after `-u`; then it is empty at least.
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

  /** Without an id in it, it leads nobody to another process that gets this one's number. */
  #discard(): void {
    try {
      this.#file.write("");
      this.#file.remove();
    } catch {
      // The error that led here is the one to tell.
    }
  }
}

const REASONS: Readonly<Record<string, string>> = {
  ELOOP: "it is a link, which anybody who may write to its folder can make",
  EMLINK: "the file has another name too, which anybody who may write to its folder can make",
  EISDIR: "it is a folder",
  ENXIO: "it is no regular file",
  EPERM: "the file belongs to another user",
  EEXIST: "there is another file of that name, with more in it than a process id",
  EACCES: "permission denied (EACCES)",
  ENOENT: "there is no such folder",
  ENOTDIR: "a part of its path is no folder",
  ENOSPC: "the disk is full",
  EDQUOT: "the quota is used up",
  EROFS: "the disk is read-only",
};

function reason(cause: unknown): string {
  return REASONS[codeOf(cause) ?? ""] ?? messageOf(cause);
}

function cannotWrite(path: string, cause: unknown): SpipedError {
  const code = codeOf(cause) ?? "";
  const hint = ["ELOOP", "EMLINK", "EPERM", "EEXIST"].includes(code)
    ? "remove it if it is an old pid file, or choose another with -p"
    : code === "ENOENT"
      ? `make the folder ${dirname(path)}, or choose another pid file with -p`
      : "choose another with -p, or stay in the foreground with -F";
  return new SpipedError("SPIPED_PID_FILE", `cannot write pid file ${path}: ${reason(cause)}`, { cause, hint });
}
