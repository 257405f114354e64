/**
 * A folder of keys for `-d`: each file in it is the key of one client, and its name, without `.key`, the client's.
 *
 * At the start every key must be good. Later, when connections depend on it, each key is judged for itself: a file that is
 * gone is a key that was taken away, whatever is wrong with others; and where a file cannot be read, its key stays, unless
 * it may be another that was moved to this name: see `key-folder-change.ts`.
 *
 * Source: docs/lifecycle.md, "Key folders".
 */

import { join } from "node:path";
import { SpipedError } from "../errors.js";
import { addon, type KeyFile, type KeyFolder as Listing } from "../native/native.js";
import { pathBytes, textOfBytes } from "../paths.js";
import { keyIdOf } from "../protocol/secret.js";
import {
  FileReading,
  keyOf,
  RELOAD_LIMIT_MS,
  type ReadKey,
  type ReadOptions,
  readWhole,
  START_LIMIT_MS,
} from "./key-file.js";
import { noThread, notInFolder, stillReading, tooSlow } from "./key-file-messages.js";
import { type BadFile, changeOf, type FolderKey, type Look } from "./key-folder-change.js";
import * as words from "./key-folder-messages.js";

export type { FolderKey };

/** The most keys of a folder: each costs strangers' attempts CPU time. */
export const MOST_KEYS = 100;

/** More names than that are no folder of keys, whatever they are. */
const MOST_NAMES = 10_000;

/** Files whose problems, and whose warnings, are written out in one reading. */
const MOST_PROBLEMS = 10;

/** Files that are read at once. */
const AT_ONCE = 8;

/** What editors, package managers and people leave beside a file, and may hold a key that was taken away. */
const BACKUP = /~$|^#.*#$|\.key\..|\.(bak|orig|swp|old|tmp|dpkg-(old|new|dist)|rpm(save|new|orig))$/;

/** Control characters, those that are not seen or turn the line around, and bytes that are not UTF-8. */
const UNFIT_FOR_NAMES = /[\p{Cc}\p{Cf}\p{Zl}\p{Zp}\p{Cs}]/gu;

/** What a folder holds, and what its owner should know. */
export interface FolderKeys {
  /** By name. */
  readonly keys: readonly FolderKey[];
  /** One line each, for people, about files that give no key and are left as they were. */
  readonly problems: readonly string[];
  /** One line each, for people, that has not been said before. */
  readonly warnings: readonly string[];
}

/** A client's name, and the files that say they are its key. */
type Found = readonly [name: string, files: readonly string[]];

/** See the head of this file. */
export class KeyFolder {
  readonly path: string;
  readonly #readings = new Map<string, FileReading>();
  #isListing = false;
  #said: ReadonlySet<string> = new Set();

  constructor(path: string) {
    this.path = path;
  }

  /**
   * Reads all keys at the start.
   *
   * @returns At least one.
   * @throws SpipedError `SPIPED_KEY_FILE` where the folder or a file in it cannot be read, is no key, or all take longer
   *   than 30 s; nothing of the others is kept then.
   */
  async read(limitMs = START_LIMIT_MS): Promise<FolderKeys> {
    const look = await this.look(limitMs);
    const [first] = look.bad;
    if (first === undefined && look.good.length === 0) throw words.noKeys(this.path);
    if (first !== undefined) {
      for (const { key } of look.good) key.destroy();
      throw first.error;
    }
    return this.#withoutTwins(look.good, look);
  }

  /**
   * Reads all keys again. To be called when the call before has settled.
   *
   * @param held - The keys until now; they stay the caller's.
   * @returns What is there now; where a file is there and gives no key, the one that is held by its name.
   * @throws SpipedError `SPIPED_KEY_FILE` where nobody can tell what is in the folder; `UnclearKeys` where nobody can tell
   *   which key was taken away.
   */
  async readAgain(held: readonly FolderKey[]): Promise<FolderKeys> {
    const look = await this.look(RELOAD_LIMIT_MS, new Map(held.map((key) => [key.name, key])));
    const change = changeOf(look, held);
    const [gone] = change.unclear;
    if (gone !== undefined) {
      for (const { key } of look.good) key.destroy();
      throw words.unclear(gone.error, join(this.path, gone.vanished));
    }
    const found = this.#withoutTwins(
      [...look.good, ...change.kept].sort((one, other) => compare(one.name, other.name)),
      look,
    );
    const said = change.problems.slice(0, MOST_PROBLEMS);
    const more = change.problems.length - said.length;
    return { ...found, problems: more === 0 ? said : [...said, words.moreProblems(this.path, more)] };
  }

  /** Reads what is there. @param preferred - Whose keys are read before others, if there are too many. */
  async look(limitMs = START_LIMIT_MS, preferred: ReadonlyMap<string, unknown> = new Map()): Promise<Look> {
    const deadline = performance.now() + limitMs;
    const warnings: string[] = [];
    const names = await this.#list(limitMs, warnings);
    const found = this.#clientsOf(names, warnings);
    const order = [...found].sort(([one], [other]) => Number(preferred.has(other)) - Number(preferred.has(one)));
    const results = new Map<string, Good | BadFile>();
    const tooMany = order.slice(MOST_KEYS);
    const namesOfThem = tooMany.map(([name]) => name.replaceAll(UNFIT_FOR_NAMES, "?"));
    const error = words.tooMany(this.path, found.length, MOST_KEYS, namesOfThem);
    for (const [name, [file = ""]] of tooMany) results.set(name, { name, file, error, isOneOfMany: true });
    const waiting = order.slice(0, MOST_KEYS);
    const readers = Array.from({ length: AT_ONCE }, async () => {
      for (let next = waiting.shift(); next !== undefined; next = waiting.shift()) {
        const [name, [file = ""]] = next;
        const result = await this.#readOne(next, deadline, limitMs);
        // A link that leads nowhere, or a file that has gone meanwhile, as Kubernetes has it for a moment; and folders.
        if (typeof result !== "string") results.set(name, result);
        else if (preferred.has(name)) results.set(name, { name, file, error: words.noFile(result) });
        else warnings.push(words.noFileLeftOut(result));
      }
    });
    await Promise.all(readers);
    const files = new Set(names);
    for (const file of this.#readings.keys()) if (!files.has(file)) this.#readings.delete(file);
    const inOrder = found.flatMap(([name]) => results.get(name) ?? []);
    return {
      good: inOrder.filter((result) => "key" in result),
      bad: inOrder.filter((result) => "error" in result),
      warnings,
      files,
    };
  }

  /** Whose keys the files are, by name. */
  #clientsOf(names: readonly string[], warnings: string[]): readonly Found[] {
    const clients = new Map<string, string[]>();
    for (const file of [...names].sort(compare)) {
      // Kubernetes keeps what its links lead to in folders that begin with a dot; so do editors.
      if (file.startsWith(".")) continue;
      if (isLeftOut(file)) {
        warnings.push(words.backup(join(this.path, file)));
        continue;
      }
      const name = file.replace(/\.key$/, "");
      clients.set(name, [...(clients.get(name) ?? []), file]);
    }
    return [...clients].sort(([one], [other]) => compare(one, other));
  }

  /** @returns Where there is nothing that could be a key, what there is, in words. */
  async #readOne(
    [name, [file = "", other]]: Found,
    deadline: number,
    limitMs: number,
  ): Promise<Good | BadFile | string> {
    const path = join(this.path, file);
    const bad = (error: SpipedError, more: Partial<BadFile> = {}) => ({ name, file, error, ...more });
    if (other !== undefined) return bad(words.sameName(path, join(this.path, other), name), { isShut: true });
    if (name.search(UNFIT_FOR_NAMES) >= 0) return bad(words.unfitName(path.replaceAll(UNFIT_FOR_NAMES, "?")));
    const reading = this.#readings.get(file) ?? new FileReading(path);
    this.#readings.set(file, reading);
    let read: KeyFile | undefined;
    try {
      const left = deadline - performance.now();
      if (left <= 0) throw tooSlow(path, limitMs);
      read = await reading.read(left);
      if (read.state === "refused") return bad(notInFolder(path, read));
      if (read.failure === "ENOENT") return words.nothingThere(path);
      if (read.failure === "EISDIR") return words.folderWithin(path);
      const identity = read.identity ?? undefined;
      return { name, file, identity, ...keyOf(path, read) };
    } catch (error) {
      if (!(error instanceof SpipedError)) throw error;
      const isShut = read === undefined || (read.state === "failed" && read.failure !== "ELOOP");
      return bad(error, { isShut, identity: read?.state === "failed" ? (read.identity ?? undefined) : undefined });
    }
  }

  async #list(limitMs: number, warnings: string[]): Promise<readonly string[]> {
    if (this.#isListing) throw stillReading(this.path);
    const listing = await new Promise<Listing>((resolve, reject) => {
      const timer = setTimeout(() => reject(tooSlow(this.path, limitMs)), limitMs);
      try {
        addon.listKeyFolder(pathBytes(this.path), MOST_NAMES, (done) => {
          this.#isListing = false;
          clearTimeout(timer);
          resolve(done);
        });
        this.#isListing = true;
      } catch (cause) {
        clearTimeout(timer);
        reject(noThread(this.path, cause));
      }
    });
    if (listing.failure !== undefined) throw words.unreadable(this.path, listing);
    if (listing.namesDescriptor) throw words.descriptor(this.path);
    if (listing.hasMore) throw words.tooManyNames(this.path, MOST_NAMES);
    warnings.push(...words.warningsOfFolder(this.path, listing.mode ?? 0));
    return listing.names.map(textOfBytes);
  }

  /** Of keys that are the same, the first by name counts. */
  #withoutTwins(all: readonly (FolderKey & Partial<Pick<ReadKey, "warnings">>)[], look: Look): FolderKeys {
    const keys: FolderKey[] = [];
    const byId = new Map<string, FolderKey>();
    const warnings = [...look.warnings];
    for (const { name, file, identity, key, warnings: ofKey = [] } of all) {
      warnings.push(...ofKey);
      const twin = byId.get(keyIdOf(key));
      if (twin?.key.isSame(key)) {
        warnings.push(words.sameKey(join(this.path, twin.file), join(this.path, file), twin.name));
        if (look.good.some((good) => good.key === key)) key.destroy();
      } else {
        const found = { name, file, identity, key };
        byId.set(keyIdOf(key), found);
        keys.push(found);
      }
    }
    const unsaid = warnings.filter((warning) => !this.#said.has(warning));
    this.#said = new Set(warnings);
    const more = unsaid.length - MOST_PROBLEMS;
    if (more > 0) unsaid.splice(MOST_PROBLEMS, more, words.moreWarnings(this.path, more));
    return { keys, problems: [], warnings: unsaid };
  }
}

/**
 * Reads what `-k` leads to, unless that is a folder.
 *
 * @throws SpipedError `SPIPED_KEY_FILE`, as `readKeyFile` does.
 */
export async function readKeyOrFolder(path: string, options: ReadOptions = {}): Promise<ReadKey | KeyFolder> {
  const file = await readWhole(path, options);
  if (file.failure === "EISDIR" && path !== "-") return new KeyFolder(path);
  return keyOf(path, file, options.instead);
}

type Good = Look["good"][number];

/** Whether a file in a folder of keys is none that lets a client in, by its name. */
export function isLeftOut(file: string): boolean {
  return file.startsWith(".") || BACKUP.test(file);
}

function compare(one: string, other: string): number {
  return one < other ? -1 : Number(one > other);
}
