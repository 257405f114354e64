/**
 * What becomes of the keys of a folder where not every file can be read again.
 *
 * A file that is shut, as to the user of `-u`, may still be known: by its identity, under another name too. Where it is
 * not, its name alone says whose key it is; and if another file is gone at the same time, that may have been moved here.
 * Then the key that was to go would stay, and the one that was to stay would go: nothing is changed.
 */

import { messageOf, type SpipedError } from "../errors.js";
import type { SharedKey } from "../protocol/secret.js";
import * as words from "./key-folder-messages.js";

/** A client's key, and where it is from. */
export interface FolderKey {
  readonly name: string;
  readonly file: string;
  readonly key: SharedKey;
  /** Of the file, as it was read; undefined where the system has none. */
  readonly identity: string | undefined;
}

/** One look at a folder, whatever is right or wrong with what is in it. */
export interface Look {
  readonly good: readonly (FolderKey & { readonly warnings: readonly string[] })[];
  readonly bad: readonly BadFile[];
  readonly warnings: readonly string[];
  /** All that is there. */
  readonly files: ReadonlySet<string>;
}

/** A file that gives no key. */
export interface BadFile {
  readonly name: string;
  readonly file: string;
  readonly error: SpipedError;
  /** Of the file that the system keeps shut, where it says that much. */
  readonly identity?: string | undefined;
  /** Whether there may be a good key in it, of whomever. */
  readonly isShut?: boolean;
  /** Whether the error is about all that are too many. */
  readonly isOneOfMany?: boolean;
}

/** What was held and stays, besides what was read. */
export interface Change {
  readonly kept: readonly FolderKey[];
  /** One line each, for people. */
  readonly problems: readonly string[];
  /** Files that may be another, and which. */
  readonly unclear: readonly { readonly error: SpipedError; readonly vanished: string }[];
}

/** See the head of this file. @param held - The keys until now. */
export function changeOf({ good, bad, files }: Look, held: readonly FolderKey[]): Change {
  const byName = new Map(held.map((key) => [key.name, key]));
  const byIdentity = new Map(held.flatMap((key) => (key.identity === undefined ? [] : [[key.identity, key] as const])));
  const kept: FolderKey[] = [];
  const problems = new Set<string>();
  const guessed: SpipedError[] = [];
  for (const { name, file, error, identity, isShut = false, isOneOfMany = false } of bad) {
    const same = identity === undefined ? undefined : byIdentity.get(identity);
    const old = same ?? byName.get(name);
    if (old === undefined) problems.add(isOneOfMany ? messageOf(error) : words.leftOut(error));
    else {
      kept.push({ ...old, name, file });
      problems.add(old.name === name ? words.oldKeyStays(error) : words.sameFile(error, old.file));
      if (same === undefined && isShut) guessed.push(error);
    }
  }
  const stays = (one: FolderKey) => [...good, ...kept].some(({ key }) => key === one.key || key.isSame(one.key));
  const vanished = guessed.length === 0 ? undefined : held.find((one) => !files.has(one.file) && !stays(one));
  const unclear = vanished === undefined ? [] : guessed.map((error) => ({ error, vanished: vanished.file }));
  return { kept, problems: [...problems], unclear };
}
