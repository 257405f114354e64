/**
 * A key folder for `-d`: each file in it is the key of one client, and its name without `.key` is the client's name.
 *
 * At startup all keys must be valid. A reload handles each file on its own: the key of a removed file is removed, even if
 * other files are bad. A file that cannot be read keeps its previous key, unless it may be a different file that was moved
 * to this name: see `key-folder-change.ts`.
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
import { type KeyReader, noThread, notInFolder, stillReading, tooSlow } from "./key-file-messages.js";
import { type BadFile, changeOf, type FolderKey, type Look } from "./key-folder-change.js";
import * as messages from "./key-folder-messages.js";

export type { FolderKey };

/** The maximum number of keys. Each one adds CPU time to every handshake, even an unauthenticated one. */
export const MAX_KEYS = 100;

/** A folder with more names is not a key folder. */
const MAX_NAMES = 10_000;

/** How many problems, and how many warnings, one reload logs in full. */
const MAX_PROBLEMS = 10;

/** How many files are read at a time. */
const CONCURRENCY = 8;

/** Backups made by editors, package managers and people. They may contain a key that was removed. */
const BACKUP = /~$|^#.*#$|\.key\..|\.(bak|orig|swp|old|tmp|dpkg-(old|new|dist)|rpm(save|new|orig))$/;

/** Control characters, invisible ones, those that change the text direction, and bytes that are not UTF-8. */
const UNFIT_FOR_NAMES = /[\p{Cc}\p{Cf}\p{Zl}\p{Zp}\p{Cs}]/gu;

/** The keys of a folder, and messages about its files. */
export interface FolderKeys {
  /** Sorted by name. */
  readonly keys: readonly FolderKey[];
  /** One line each, about files that cannot be used; their previous keys are kept. */
  readonly problems: readonly string[];
  /** One line each; only those that the previous reading did not have. */
  readonly warnings: readonly string[];
}

/** A client's name, and the files that would be its key. */
type Found = readonly [name: string, files: readonly string[]];

/** See the head of this file. */
export class KeyFolder {
  readonly path: string;
  readonly #reader: KeyReader | undefined;
  readonly #readings = new Map<string, FileReading>();
  #isListing = false;
  #lastWarnings: ReadonlySet<string> = new Set();

  /** @param reader - The user that reloads it; by default that of this process. */
  constructor(path: string, reader?: KeyReader) {
    this.path = path;
    this.#reader = reader;
  }

  /**
   * Reads all keys at startup.
   *
   * @returns At least one key.
   * @throws SpipedError `SPIPED_KEY_FILE` if the folder or a file in it cannot be read, a file is not a key, or reading all of
   *   them takes longer than 30 s. No key is kept then.
   */
  async read(limitMs = START_LIMIT_MS): Promise<FolderKeys> {
    const look = await this.readFiles(limitMs);
    const [first] = look.bad;
    if (first === undefined && look.good.length === 0) throw messages.noKeys(this.path);
    if (first !== undefined) {
      for (const { key } of look.good) key.destroy();
      throw first.error;
    }
    return this.#withoutDuplicates(look.good, look);
  }

  /**
   * Reloads all keys. Do not call it again before the promise has settled.
   *
   * @param current - The current keys; the caller still owns them.
   * @returns The new keys. A file that cannot be used keeps the current key of the same name.
   * @throws SpipedError `SPIPED_KEY_FILE` if the folder cannot be listed; `UnclearKeys` if it is not clear which key was
   *   removed.
   */
  async reload(current: readonly FolderKey[]): Promise<FolderKeys> {
    const look = await this.readFiles(RELOAD_LIMIT_MS, new Map(current.map((key) => [key.name, key])));
    const change = changeOf(look, current);
    const [gone] = change.unclear;
    if (gone !== undefined) {
      for (const { key } of look.good) key.destroy();
      throw messages.unclear(gone.error, join(this.path, gone.vanished));
    }
    const found = this.#withoutDuplicates(
      [...look.good, ...change.kept].sort((one, other) => compare(one.name, other.name)),
      look,
    );
    const shown = change.problems.slice(0, MAX_PROBLEMS);
    const more = change.problems.length - shown.length;
    return { ...found, problems: more === 0 ? shown : [...shown, messages.moreProblems(this.path, more)] };
  }

  /** Reads all files. @param preferred - Names of clients whose keys are read first if there are too many. */
  async readFiles(limitMs = START_LIMIT_MS, preferred: ReadonlyMap<string, unknown> = new Map()): Promise<Look> {
    const deadline = performance.now() + limitMs;
    const warnings: string[] = [];
    const names = await this.#list(limitMs, warnings);
    const found = this.#clientsOf(names, warnings);
    const order = [...found].sort(([one], [other]) => Number(preferred.has(other)) - Number(preferred.has(one)));
    const results = new Map<string, Good | BadFile>();
    const tooMany = order.slice(MAX_KEYS);
    const namesOfThem = tooMany.map(([name]) => name.replaceAll(UNFIT_FOR_NAMES, "?"));
    const error = messages.tooMany(this.path, found.length, MAX_KEYS, namesOfThem);
    for (const [name, [file = ""]] of tooMany) results.set(name, { name, file, error, isOneOfMany: true });
    const waiting = order.slice(0, MAX_KEYS);
    const readers = Array.from({ length: CONCURRENCY }, async () => {
      for (let next = waiting.shift(); next !== undefined; next = waiting.shift()) {
        const [name, [file = ""]] = next;
        const result = await this.#readOne(next, deadline, limitMs);
        // A folder, a broken link, or a file that was just removed, as briefly happens when Kubernetes updates a secret.
        if (typeof result !== "string") results.set(name, result);
        else if (preferred.has(name)) results.set(name, { name, file, error: messages.noFile(result) });
        else warnings.push(messages.noFileLeftOut(result));
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

  /** The clients that the files stand for, sorted by name. */
  #clientsOf(names: readonly string[], warnings: string[]): readonly Found[] {
    const clients = new Map<string, string[]>();
    for (const file of [...names].sort(compare)) {
      // The targets of Kubernetes's links are in folders that begin with a dot; editors hide files the same way.
      if (file.startsWith(".")) continue;
      if (isLeftOut(file)) {
        warnings.push(messages.backup(join(this.path, file)));
        continue;
      }
      const name = file.replace(/\.key$/, "");
      clients.set(name, [...(clients.get(name) ?? []), file]);
    }
    return [...clients].sort(([one], [other]) => compare(one, other));
  }

  /** @returns A text if the path is not a file: it says what is there. */
  async #readOne(
    [name, [file = "", other]]: Found,
    deadline: number,
    limitMs: number,
  ): Promise<Good | BadFile | string> {
    const path = join(this.path, file);
    const bad = (error: SpipedError, more: Partial<BadFile> = {}) => ({ name, file, error, ...more });
    if (other !== undefined) return bad(messages.sameName(path, join(this.path, other), name), { isUnreadable: true });
    if (name.search(UNFIT_FOR_NAMES) >= 0) return bad(messages.unfitName(path.replaceAll(UNFIT_FOR_NAMES, "?")));
    const reading = this.#readings.get(file) ?? new FileReading(path);
    this.#readings.set(file, reading);
    let read: KeyFile | undefined;
    try {
      const left = deadline - performance.now();
      if (left <= 0) throw tooSlow(path, limitMs);
      read = await reading.read(left);
      if (read.state === "refused") return bad(messages.notAKey(this.path, file, notInFolder(path, read)));
      if (read.failure === "ENOENT") return messages.nothingThere(path);
      if (read.failure === "EISDIR") return messages.folderWithin(path);
      const identity = read.identity ?? undefined;
      return { name, file, identity, ...keyOf(path, read, { reader: this.#reader }) };
    } catch (error) {
      if (!(error instanceof SpipedError)) throw error;
      const isUnreadable = read === undefined || (read.state === "failed" && read.failure !== "ELOOP");
      return bad(isUnreadable ? error : messages.notAKey(this.path, file, error), {
        isUnreadable,
        identity: read?.state === "failed" ? (read.identity ?? undefined) : undefined,
      });
    }
  }

  async #list(limitMs: number, warnings: string[]): Promise<readonly string[]> {
    if (this.#isListing) throw stillReading(this.path);
    const listing = await new Promise<Listing>((resolve, reject) => {
      const timer = setTimeout(() => reject(tooSlow(this.path, limitMs)), limitMs);
      try {
        addon.listKeyFolder(pathBytes(this.path), MAX_NAMES, (done) => {
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
    if (listing.failure !== undefined) throw messages.unreadable(this.path, listing);
    if (listing.namesDescriptor) throw messages.descriptor(this.path);
    if (listing.hasMore) throw messages.tooManyNames(this.path, MAX_NAMES);
    warnings.push(...messages.warningsOfFolder(this.path, listing.mode ?? 0));
    return listing.names.map(textOfBytes);
  }

  /** Keeps the first key by name if several files have the same one. */
  #withoutDuplicates(all: readonly (FolderKey & Partial<Pick<ReadKey, "warnings">>)[], look: Look): FolderKeys {
    const keys: FolderKey[] = [];
    const byId = new Map<string, FolderKey>();
    const warnings = [...look.warnings];
    for (const { name, file, identity, key, warnings: ofKey = [] } of all) {
      warnings.push(...ofKey);
      const first = byId.get(keyIdOf(key));
      if (first?.key.isSame(key)) {
        warnings.push(messages.sameKey(join(this.path, first.file), join(this.path, file), first.name));
        if (look.good.some((good) => good.key === key)) key.destroy();
      } else {
        const found = { name, file, identity, key };
        byId.set(keyIdOf(key), found);
        keys.push(found);
      }
    }
    const fresh = warnings.filter((warning) => !this.#lastWarnings.has(warning));
    this.#lastWarnings = new Set(warnings);
    const more = fresh.length - MAX_PROBLEMS;
    if (more > 0) fresh.splice(MAX_PROBLEMS, more, messages.moreWarnings(this.path, more));
    return { keys, problems: [], warnings: fresh };
  }
}

/**
 * Reads the file of `-k`, unless it is a folder.
 *
 * @throws SpipedError `SPIPED_KEY_FILE`, as `readKeyFile` does.
 */
export async function readKeyOrFolder(path: string, options: ReadOptions = {}): Promise<ReadKey | KeyFolder> {
  const file = await readWhole(path, options);
  if (file.failure === "EISDIR" && path !== "-") return new KeyFolder(path, options.reader);
  return keyOf(path, file, options);
}

type Good = Look["good"][number];

/** Whether a key folder ignores a file because of its name: hidden files and backups. */
export function isLeftOut(file: string): boolean {
  return file.startsWith(".") || BACKUP.test(file);
}

function compare(one: string, other: string): number {
  return one < other ? -1 : Number(one > other);
}
