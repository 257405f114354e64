/**
 * The keys of one tunnel of a service: read at the start, and again on SIGHUP while connections go on.
 *
 * Of a folder, each file is a client's key: see `config/key-folder.ts`.
 */

import { KeyFileReader, type ReadOptions, readKeyFile } from "../config/key-file.js";
import { type FolderKey, KeyFolder, readKeyOrFolder } from "../config/key-folder.js";
import { UnclearKeys } from "../config/key-folder-messages.js";
import { messageOf } from "../errors.js";
import {
  keyKeptEntry,
  keyReadEntry,
  keysReadAgainEntry,
  keysReadEntry,
  keyWarningEntry,
  noKeyLeftEntry,
  oneKeyKeptEntry,
} from "../observe/key-entries.js";
import type { Log } from "../observe/log.js";
import { KeyRing } from "../protocol/key-ring.js";
import { Rereading } from "./rereading.js";

/** What uses the keys. */
export interface KeyUser {
  /** Ends the connections whose keys were taken away. @returns How many. */
  endRemoved(): number;
  /** Told after each reading. @param successful - Whether all of it is used from now on. */
  reloaded?(successful: boolean): void;
}

/** Where the keys are from. */
type Source =
  | { readonly kind: "file"; readonly reader: KeyFileReader }
  /** `held`: what was read last, by the names of the files. */
  | { readonly kind: "folder"; readonly folder: KeyFolder; held: readonly FolderKey[] };

/** See the head of this file. */
export class TunnelKeys {
  readonly #path: string;
  readonly #log: Log;
  readonly #ring: KeyRing;
  readonly #source: Source;
  readonly #rereading = new Rereading();
  #isOver = false;

  private constructor(path: string, log: Log, ring: KeyRing, source: Source) {
    this.#path = path;
    this.#log = log;
    this.#ring = ring;
    this.#source = source;
  }

  /**
   * Reads the keys at the start.
   *
   * @param path - The key file, or the folder of them; `-` for standard input.
   * @param role - Only a server takes a folder.
   * @throws SpipedError `SPIPED_KEY_FILE`.
   */
  static async read(path: string, role: "encrypt" | "decrypt", log: Log, options: ReadOptions): Promise<TunnelKeys> {
    const read = await (role === "encrypt" ? readKeyFile : readKeyOrFolder)(path, options);
    if (!(read instanceof KeyFolder)) {
      for (const warning of read.warnings) log.warning(warning);
      return new TunnelKeys(path, log, KeyRing.of(read.key), { kind: "file", reader: new KeyFileReader(path) });
    }
    const { keys, warnings } = await read.read(options.limitMs);
    for (const warning of warnings) log.warning(warning);
    log.write(
      keysReadEntry(
        path,
        keys.map(({ name }) => name),
      ),
    );
    return new TunnelKeys(path, log, new KeyRing(keys), { kind: "folder", folder: read, held: keys });
  }

  /** The path of the folder, where there is one. */
  get folder(): string | undefined {
    return this.#source.kind === "folder" ? this.#path : undefined;
  }

  /** For the tunnel. */
  get ring(): KeyRing {
    return this.#ring;
  }

  /** Has the keys read as they are from now on; resolves when that has come to an end, whatever it is. */
  reload(user: KeyUser): Promise<void> {
    return this.#rereading.request(() => this.#read(user));
  }

  /** Wipes the keys, and those that are still read; for when nobody uses them any more. */
  destroy(): void {
    this.#isOver = true;
    for (const { key } of this.#ring.replace([])) key.destroy();
  }

  async #read(user: KeyUser): Promise<void> {
    if (this.#isOver) return;
    try {
      const source = this.#source;
      const isAllGood = await (source.kind === "file" ? this.#readFile(source.reader) : this.#readFolder(source, user));
      user.reloaded?.(isAllGood);
    } catch (error) {
      if (this.#isOver) return;
      this.#log.write(keyKeptEntry(this.#path, messageOf(error), this.#source.kind, error instanceof UnclearKeys));
      user.reloaded?.(false);
    }
  }

  async #readFile(reader: KeyFileReader): Promise<true> {
    const { key, warnings } = await reader.read();
    if (this.#isOver) {
      key.destroy();
      return true;
    }
    for (const warning of warnings) this.#log.warning(warning);
    // Handshakes that have begun keep the old key until they end.
    for (const old of this.#ring.replace([{ name: undefined, key }])) old.key.destroy();
    this.#log.write(keyReadEntry(this.#path));
    return true;
  }

  /** @returns Whether every file in it is a key. */
  async #readFolder(source: Source & { readonly kind: "folder" }, user: KeyUser): Promise<boolean> {
    const { keys, problems, warnings } = await source.folder.readAgain(source.held);
    if (this.#isOver) {
      for (const { key } of keys) key.destroy();
      return true;
    }
    const changes = this.#ring.update(keys);
    const ended = user.endRemoved();
    // The ring has its own handle of what was there before.
    source.held = keys.map((key, index) => ({ ...key, key: this.#ring.keys[index]?.key ?? key.key }));
    for (const problem of problems) this.#log.write(oneKeyKeptEntry(this.#path, problem));
    for (const warning of warnings) this.#log.write(keyWarningEntry(this.#path, warning));
    this.#log.write(keysReadAgainEntry(this.#path, keys.length, changes, ended));
    if (keys.length === 0) this.#log.write(noKeyLeftEntry(this.#path));
    return problems.length === 0;
  }
}
