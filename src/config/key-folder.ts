/**
 * A folder of keys for `-d`: each file in it is the key of one client, and its name, without `.key`, the client's.
 *
 * At the start every key must be good. Later, when connections depend on it, each key is judged for itself: a file that is
 * gone is a key that was taken away, whatever is wrong with others; and where a file cannot be read, its key stays.
 *
 * Source: DESIGN.md, "Several keys".
 */

import { join } from "node:path";
import { SpipedError } from "../errors.js";
import { addon, type KeyFolder as Listing } from "../native/native.js";
import { pathBytes, textOfBytes } from "../paths.js";
import { keyIdOf, type SharedKey } from "../protocol/secret.js";
import {
  FileReading,
  keyOf,
  RELOAD_LIMIT_MS,
  type ReadKey,
  type ReadOptions,
  readWhole,
  START_LIMIT_MS,
} from "./key-file.js";
import { noThread, notInFolder, stillReading, tooSlow } from "./key-file-words.js";
import * as words from "./key-folder-words.js";

/** The most keys of a folder: each costs strangers' attempts CPU time. */
export const MOST_KEYS = 100;

/** More names than that are no folder of keys, whatever they are. */
const MOST_NAMES = 10_000;

/** Files whose problems are written out in one reading. */
const MOST_PROBLEMS = 10;

/** Files that are read at once. */
const AT_ONCE = 8;

/** What editors leave beside a file, and may hold a key that was taken away. Those of vi begin with a dot. */
const BACKUP = /~$|^#.*#$/;

/** Control characters, those that are not seen or turn the line around, and bytes that are not UTF-8. */
const UNFIT_FOR_NAMES = /[\p{Cc}\p{Cf}\p{Zl}\p{Zp}\p{Cs}]/gu;

/** A client's key, and where it is from. */
export interface FolderKey {
  readonly name: string;
  readonly file: string;
  readonly key: SharedKey;
}

/** What a folder holds, and what its owner should know. */
export interface FolderKeys {
  /** By name. */
  readonly keys: readonly FolderKey[];
  /** One line each, for people, about files that give no key and are left as they were. */
  readonly problems: readonly string[];
  /** One line each, for people, that has not been said before. */
  readonly warnings: readonly string[];
}

/** One look at a folder, whatever is right or wrong with what is in it. */
export interface Look {
  readonly good: readonly (FolderKey & { readonly warnings: readonly string[] })[];
  readonly bad: readonly { readonly name: string; readonly error: SpipedError }[];
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
   * @throws SpipedError `SPIPED_KEY_FILE` where nobody can tell what is in the folder.
   */
  async readAgain(held: readonly FolderKey[]): Promise<FolderKeys> {
    const heldNames = new Map(held.map((key) => [key.name, key]));
    const look = await this.look(RELOAD_LIMIT_MS, heldNames);
    const kept: FolderKey[] = [];
    const problems = new Set<string>();
    for (const { name, error } of look.bad) {
      const old = heldNames.get(name);
      if (old !== undefined) kept.push(old);
      problems.add(old === undefined ? words.leftOut(error) : words.oldKeyStays(error));
    }
    const all = [...look.good, ...kept].sort((one, other) => compare(one.name, other.name));
    const found = this.#withoutTwins(all, look);
    const said = [...problems].slice(0, MOST_PROBLEMS);
    if (problems.size > said.length) said.push(words.moreProblems(this.path, problems.size - said.length));
    return { ...found, problems: said };
  }

  /** Reads what is there. @param preferred - Whose keys are read before others, if there are too many. */
  async look(limitMs = START_LIMIT_MS, preferred: ReadonlyMap<string, unknown> = new Map()): Promise<Look> {
    const deadline = performance.now() + limitMs;
    const warnings: string[] = [];
    const names = await this.#list(limitMs);
    const found = this.#clientsOf(names, warnings);
    const order = [...found].sort(([one], [other]) => Number(preferred.has(other)) - Number(preferred.has(one)));
    const results = new Map<string, Good | SpipedError>();
    for (const [name] of order.slice(MOST_KEYS)) results.set(name, words.tooMany(this.path, found.length, MOST_KEYS));
    const waiting = order.slice(0, MOST_KEYS);
    const readers = Array.from({ length: AT_ONCE }, async () => {
      for (let next = waiting.shift(); next !== undefined; next = waiting.shift()) {
        const result = await this.#readOne(next, deadline, limitMs, warnings);
        if (result !== undefined) results.set(next[0], result);
      }
    });
    await Promise.all(readers);
    const files = new Set(names);
    for (const file of this.#readings.keys()) if (!files.has(file)) this.#readings.delete(file);
    const inOrder = found.flatMap(([name]) => {
      const result = results.get(name);
      return result === undefined ? [] : [{ name, result }];
    });
    return {
      good: inOrder.flatMap(({ result }) => (result instanceof SpipedError ? [] : [result])),
      bad: inOrder.flatMap(({ name, result }) => (result instanceof SpipedError ? [{ name, error: result }] : [])),
      warnings,
    };
  }

  /** Whose keys the files are, by name. */
  #clientsOf(names: readonly string[], warnings: string[]): readonly Found[] {
    const clients = new Map<string, string[]>();
    for (const file of [...names].sort(compare)) {
      // Kubernetes keeps what its links lead to in folders that begin with a dot; so do editors.
      if (file.startsWith(".")) continue;
      if (BACKUP.test(file)) {
        warnings.push(words.backup(join(this.path, file)));
        continue;
      }
      const name = file.replace(/\.key$/, "");
      clients.set(name, [...(clients.get(name) ?? []), file]);
    }
    return [...clients].sort(([one], [other]) => compare(one, other));
  }

  /** @returns Undefined where there is nothing that could be a key. */
  async #readOne(
    [name, [file = "", other]]: Found,
    deadline: number,
    limitMs: number,
    warnings: string[],
  ): Promise<Good | SpipedError | undefined> {
    const path = join(this.path, file);
    if (other !== undefined) return words.sameName(path, join(this.path, other), name);
    if (name.search(UNFIT_FOR_NAMES) >= 0) return words.unfitName(path.replaceAll(UNFIT_FOR_NAMES, "?"));
    const reading = this.#readings.get(file) ?? new FileReading(path);
    this.#readings.set(file, reading);
    try {
      const left = deadline - performance.now();
      if (left <= 0) return tooSlow(path, limitMs);
      const read = await reading.read(left);
      if (read.state === "refused") return notInFolder(path, read);
      // A link that leads nowhere, or a file that has gone meanwhile: as Kubernetes has it for a moment.
      if (read.failure === "ENOENT") warnings.push(words.nothingThere(path));
      else if (read.failure === "EISDIR") warnings.push(words.folderWithin(path));
      else return { name, file, ...keyOf(path, read) };
      return undefined;
    } catch (error) {
      if (error instanceof SpipedError) return error;
      throw error;
    }
  }

  async #list(limitMs: number): Promise<readonly string[]> {
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
    return listing.names.map(textOfBytes);
  }

  /** Of keys that are the same, the first by name counts. */
  #withoutTwins(all: readonly (FolderKey & Partial<Pick<ReadKey, "warnings">>)[], look: Look): FolderKeys {
    const keys: FolderKey[] = [];
    const byId = new Map<string, FolderKey>();
    const warnings = [...look.warnings];
    for (const { name, file, key, warnings: ofKey = [] } of all) {
      warnings.push(...ofKey);
      const twin = byId.get(keyIdOf(key));
      if (twin?.key.isSame(key)) {
        warnings.push(words.sameKey(join(this.path, twin.file), join(this.path, file), twin.name));
        if (look.good.some((good) => good.key === key)) key.destroy();
      } else {
        const found = { name, file, key };
        byId.set(keyIdOf(key), found);
        keys.push(found);
      }
    }
    const unsaid = warnings.filter((warning) => !this.#said.has(warning));
    this.#said = new Set(warnings);
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

function compare(one: string, other: string): number {
  return one < other ? -1 : Number(one > other);
}
