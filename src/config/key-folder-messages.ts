/**
 * Messages about key folders.
 */

import { messageOf, SpipedError } from "../errors.js";
import type { KeyFolder } from "../native/native.js";

const EACH_CLIENT = "each file in it is the key of one client; make one with spiped keygen FOLDER/NAME.key";

/** How many names one message lists. */
const MAX_NAMES = 10;

const REASONS: Readonly<Record<string, string>> = {
  ENOENT: "there is no such folder",
  EACCES: "permission denied",
  ENOTDIR: "it is no folder",
};

/** The system refused access. */
export function unreadable(path: string, { failure = "", failureText }: KeyFolder): SpipedError {
  const hint = "let the user that runs spiped list the folder and read its files: chgrp it, and chmod 750";
  return problem(path, REASONS[failure] ?? failureText ?? failure, failure === "EACCES" ? hint : undefined);
}

/** Adds to the error of a file that is no key that every file in the folder has to be one. */
export function notAKey(path: string, file: string, { code, message, cause }: SpipedError): SpipedError {
  const hint = `${path} is a folder, so every file in it must be the key of one client; move ${file} out of it, or replace it with a key`;
  return new SpipedError(code, message, { cause, hint });
}

/** The folder has no key. */
export function noKeys(path: string): SpipedError {
  const hint = `${EACH_CLIENT}; where a mounted file is missing outside, Docker makes a folder`;
  return problem(path, "there is no key in it", hint);
}

/** The path is a descriptor, which may be another folder later, or in another process. */
export function descriptor(path: string): SpipedError {
  return problem(path, "it is a descriptor, which cannot be read again", "name the folder itself");
}

/** The folder has too many names to be a key folder. */
export function tooManyNames(path: string, limit: number): SpipedError {
  return problem(path, `there are more than ${limit} names in it`, EACH_CLIENT);
}

/** The folder has too many keys. */
export function tooMany(path: string, count: number, limit: number, without: readonly string[]): SpipedError {
  const more = without.length - MAX_NAMES;
  const names = without.slice(0, MAX_NAMES).join(", ") + (more > 0 ? ` and ${more} more` : "");
  return problem(path, `there are ${count} keys in it, and at most ${limit} are taken, without ${names}`);
}

/** Stands for the warnings that are not logged. */
export function moreWarnings(path: string, count: number): string {
  return `and ${count} more warnings about files in ${path}, which come when these are mended`;
}

/** Two files name the same client: `a` and `a.key`. */
export function sameName(path: string, other: string, name: string): SpipedError {
  return new SpipedError("SPIPED_KEY_FILE", `key files ${path} and ${other} both name a client ${name}; rename one`);
}

/** The file name cannot be logged. */
export function unfitName(path: string): SpipedError {
  const message = `the name of key file ${path} has control characters, or is not UTF-8, and would name a client`;
  return new SpipedError("SPIPED_KEY_FILE", message, { hint: "rename it" });
}

/** Two files have the same key. */
export function sameKey(path: string, other: string, name: string): string {
  return `key files ${path} and ${other} are the same key; its clients are named ${name}`;
}

/** The file looks like a backup. */
export function backup(path: string): string {
  return `key file ${path} looks like a backup, or like a key that was taken away, and is left out`;
}

/** There is a folder in the place of a key. */
export function folderWithin(path: string): string {
  return `${path} is a folder`;
}

/** The link is broken. */
export function nothingThere(path: string): string {
  return `key file ${path} leads nowhere`;
}

/** For {@link folderWithin} and {@link nothingThere}, if the client had no key before. */
export function noFileLeftOut(what: string): string {
  return `${what}, and is left out`;
}

/** For {@link folderWithin} and {@link nothingThere}, if the client had a key before. */
export function noFile(what: string): SpipedError {
  return new SpipedError("SPIPED_KEY_FILE", what);
}

/** Others can add keys to the folder. The sticky bit does not prevent that. */
export function warningsOfFolder(path: string, mode: number): readonly string[] {
  if ((mode & 0o022) === 0) return [];
  const who = (mode & 0o002) === 0 ? "its group" : "everybody on this machine";
  return [`key folder ${path} can be changed by ${who}, who can let himself in; chmod go-w it`];
}

/** It is not clear which key was removed, so nothing was changed. */
export class UnclearKeys extends SpipedError {}

/** The file cannot be opened, and may be a file that has disappeared. */
export function unclear(error: SpipedError, vanished: string): UnclearKeys {
  const help = "let the user that spiped runs as read it (chgrp, chmod 640) and send SIGHUP again, or restart spiped";
  return new UnclearKeys(
    "SPIPED_KEY_FILE",
    `${error.message}, and ${vanished} is gone, which may have been moved there; ${help}`,
  );
}

/** The file cannot be opened, but it was read before under another name. */
export function sameFile(error: SpipedError, before: string): string {
  return `${messageOf(error)}; it is the file that was ${before}, and has its key`;
}

/** The file cannot be used, and the client had no key before. */
export function leftOut(error: SpipedError): string {
  return `${messageOf(error)}; it is left out`;
}

/** The file cannot be used, and the client keeps its key. */
export function oldKeyStays(error: SpipedError): string {
  return `${messageOf(error)}; its old key stays`;
}

/** Stands for the problems that are not logged. */
export function moreProblems(path: string, count: number): string {
  return `cannot read ${count} more key files in ${path}; what was a key before stays one`;
}

function problem(path: string, reason: string, hint?: string): SpipedError {
  const message = `cannot read key folder ${path}: ${reason}`;
  return new SpipedError("SPIPED_KEY_FILE", message, hint === undefined ? {} : { hint });
}
