/**
 * Decides which keys to keep when a reload cannot read every file of a key folder.
 *
 * A file that cannot be opened, for example because only root can read it and `-u` has dropped root, may still be recognized
 * by its identity (device and inode), even under a new name. Otherwise only its name tells whose key it is. If another file
 * has disappeared at the same time, it may have been moved to this name; keeping keys by name could then keep the removed
 * key and drop the other one. In that case nothing is changed.
 */

import { messageOf, type SpipedError } from "../errors.js";
import type { SharedKey } from "../protocol/secret.js";
import * as messages from "./key-folder-messages.js";

/** A client's key, and the file that it comes from. */
export interface FolderKey {
  readonly name: string;
  readonly file: string;
  readonly key: SharedKey;
  /** Identity of the file when it was read; undefined if the system has none. */
  readonly identity: string | undefined;
}

/** The result of reading a folder, good and bad files alike. */
export interface Look {
  readonly good: readonly (FolderKey & { readonly warnings: readonly string[] })[];
  readonly bad: readonly BadFile[];
  readonly warnings: readonly string[];
  /** All names in the folder. */
  readonly files: ReadonlySet<string>;
}

/** A file that cannot be used as a key. */
export interface BadFile {
  readonly name: string;
  readonly file: string;
  readonly error: SpipedError;
  /** Identity of a file that cannot be opened, if the system tells. */
  readonly identity?: string | undefined;
  /** Whether it could contain a valid key, of any client. */
  readonly isUnreadable?: boolean;
  /** Whether the error is about all keys beyond the limit. */
  readonly isOneOfMany?: boolean;
}

/** The current keys to keep, in addition to those that were read. */
export interface Change {
  readonly kept: readonly FolderKey[];
  /** One line each. */
  readonly problems: readonly string[];
  /** Files that may be a different one that was moved here, and that one's name. */
  readonly unclear: readonly { readonly error: SpipedError; readonly vanished: string }[];
}

/** See the head of this file. @param current - The current keys. */
export function changeOf({ good, bad, files }: Look, current: readonly FolderKey[]): Change {
  const byName = new Map(current.map((key) => [key.name, key]));
  const byIdentity = new Map(
    current.flatMap((key) => (key.identity === undefined ? [] : [[key.identity, key] as const])),
  );
  const kept: FolderKey[] = [];
  const problems = new Set<string>();
  const guessed: SpipedError[] = [];
  for (const { name, file, error, identity, isUnreadable = false, isOneOfMany = false } of bad) {
    const same = identity === undefined ? undefined : byIdentity.get(identity);
    const old = same ?? byName.get(name);
    if (old === undefined) problems.add(isOneOfMany ? messageOf(error) : messages.leftOut(error));
    else {
      kept.push({ ...old, name, file });
      problems.add(old.name === name ? messages.oldKeyStays(error) : messages.sameFile(error, old.file));
      if (same === undefined && isUnreadable) guessed.push(error);
    }
  }
  const stays = (one: FolderKey) => [...good, ...kept].some(({ key }) => key === one.key || key.isSame(one.key));
  const vanished = guessed.length === 0 ? undefined : current.find((one) => !files.has(one.file) && !stays(one));
  const unclear = vanished === undefined ? [] : guessed.map((error) => ({ error, vanished: vanished.file }));
  return { kept, problems: [...problems], unclear };
}
