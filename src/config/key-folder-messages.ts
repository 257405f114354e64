/**
 * What people are told about folders of keys.
 */

import { messageOf, SpipedError } from "../errors.js";
import type { KeyFolder } from "../native/native.js";

const EACH_CLIENT = "each file in it is the key of one client; make one with spiped keygen FOLDER/NAME.key";

/** Names that are written out in one line. */
const MOST_NAMES = 10;

const REASONS: Readonly<Record<string, string>> = {
  ENOENT: "there is no such folder",
  EACCES: "permission denied",
  ENOTDIR: "it is no folder",
};

/** What the system refused. */
export function unreadable(path: string, { failure = "", failureText }: KeyFolder): SpipedError {
  return problem(path, REASONS[failure] ?? failureText ?? failure);
}

/** A folder without a key. */
export function noKeys(path: string): SpipedError {
  const hint = `${EACH_CLIENT}; where a mounted file is missing outside, Docker makes a folder`;
  return problem(path, "there is no key in it", hint);
}

/** What means another folder later, or in another process. */
export function descriptor(path: string): SpipedError {
  return problem(path, "it is a descriptor, which cannot be read again", "name the folder itself");
}

/** Not a folder of keys at all. */
export function tooManyNames(path: string, limit: number): SpipedError {
  return problem(path, `there are more than ${limit} names in it`, EACH_CLIENT);
}

/** More keys than are tried. */
export function tooMany(path: string, count: number, limit: number, without: readonly string[]): SpipedError {
  const more = without.length - MOST_NAMES;
  const names = without.slice(0, MOST_NAMES).join(", ") + (more > 0 ? ` and ${more} more` : "");
  return problem(path, `there are ${count} keys in it, and at most ${limit} are taken, without ${names}`);
}

/** Warnings that are not written out. */
export function moreWarnings(path: string, count: number): string {
  return `and ${count} more warnings about files in ${path}, which come when these are mended`;
}

/** `a` and `a.key`. */
export function sameName(path: string, other: string, name: string): SpipedError {
  return new SpipedError("SPIPED_KEY_FILE", `key files ${path} and ${other} both name a client ${name}; rename one`);
}

/** A name that could not stand in a log. */
export function unfitName(path: string): SpipedError {
  const message = `the name of key file ${path} has control characters, or is not UTF-8, and would name a client`;
  return new SpipedError("SPIPED_KEY_FILE", message, { hint: "rename it" });
}

/** The same key in two files. */
export function sameKey(path: string, other: string, name: string): string {
  return `key files ${path} and ${other} are the same key; whoever has it is ${name}`;
}

/** What somebody or something has left. */
export function backup(path: string): string {
  return `key file ${path} looks like a backup, or like a key that was taken away, and is left out`;
}

/** A folder where a key could be. */
export function folderWithin(path: string): string {
  return `${path} is a folder`;
}

/** A link without a file. */
export function nothingThere(path: string): string {
  return `key file ${path} leads nowhere`;
}

/** What becomes of those two, where there was no key before. */
export function noFileLeftOut(what: string): string {
  return `${what}, and is left out`;
}

/** One of those two, where there was a key before. */
export function noFile(what: string): SpipedError {
  return new SpipedError("SPIPED_KEY_FILE", what);
}

/** A folder that lets others add keys; that it is sticky keeps nobody from it. */
export function warningsOfFolder(path: string, mode: number): readonly string[] {
  if ((mode & 0o022) === 0) return [];
  const who = (mode & 0o002) === 0 ? "its group" : "everybody on this machine";
  return [`key folder ${path} can be changed by ${who}, who can let himself in; chmod go-w it`];
}

/** Nobody can tell which key was taken away; nothing was changed. */
export class UnclearKeys extends SpipedError {}

/** A file that is shut, and may be one that is gone. */
export function unclear(error: SpipedError, vanished: string): UnclearKeys {
  const help = "let the user that spiped runs as read it (chgrp, chmod 640) and send SIGHUP again, or restart spiped";
  return new UnclearKeys(
    "SPIPED_KEY_FILE",
    `${error.message}, and ${vanished} is gone, which may have been moved there; ${help}`,
  );
}

/** A file that cannot be read, and is one that was read before under another name. */
export function sameFile(error: SpipedError, before: string): string {
  return `${messageOf(error)}; it is the file that was ${before}, and has its key`;
}

/** What becomes of a file that cannot be read, and was no key before. */
export function leftOut(error: SpipedError): string {
  return `${messageOf(error)}; it is left out`;
}

/** What becomes of a file that cannot be read, and was a key before. */
export function oldKeyStays(error: SpipedError): string {
  return `${messageOf(error)}; its old key stays`;
}

/** Files whose problems are not written out. */
export function moreProblems(path: string, count: number): string {
  return `cannot read ${count} more key files in ${path}; what was a key before stays one`;
}

function problem(path: string, reason: string, hint?: string): SpipedError {
  const message = `cannot read key folder ${path}: ${reason}`;
  return new SpipedError("SPIPED_KEY_FILE", message, hint === undefined ? {} : { hint });
}
