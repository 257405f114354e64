/**
 * The keys of one tunnel: read at the start, and reloaded on SIGHUP without disturbing connections.
 *
 * In a folder, each file is one client's key: see `config/key-folder.ts`.
 */

import { KeyFileReader, type ReadOptions, readKeyFile } from "../config/key-file.js";
import { type FolderKey, KeyFolder, readKeyOrFolder } from "../config/key-folder.js";
import { UnclearKeys } from "../config/key-folder-messages.js";
import { messageOf } from "../errors.js";
import { counted } from "../observe/counted.js";
import {
  keyKeptEntry,
  keyReloadedEntry,
  keysReadEntry,
  keysReloadedEntry,
  keyWarningEntry,
  noKeyLeftEntry,
  oneKeyKeptEntry,
} from "../observe/key-entries.js";
import type { Log } from "../observe/log.js";
import { KeyRing } from "../protocol/key-ring.js";
import { keyIdOf } from "../protocol/secret.js";
import { CoalescedReload } from "./coalesced-reload.js";

/** The tunnel that uses the keys. */
export interface KeyUser {
  /** Resets the connections whose keys were removed. @returns How many. */
  endRemoved(): number;
  /** Called after each reload. @param problem - Why not everything that was read is in use; undefined if it is. */
  reloaded?(problem: string | undefined): void;
}

/** Where the keys come from. */
type Source =
  | { readonly kind: "file"; readonly reader: KeyFileReader }
  /** `current`: the keys in use, with the names of their files. */
  | { readonly kind: "folder"; readonly folder: KeyFolder; current: readonly FolderKey[] };

/** The keys of a tunnel, and their source. */
export class TunnelKeys {
  readonly #path: string;
  readonly #log: Log;
  readonly #ring: KeyRing;
  readonly #source: Source;
  readonly #reloads = new CoalescedReload();
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
   * @param path - A key file or a folder of them; `-` for standard input.
   * @param role - A folder is allowed only for `decrypt`.
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
    return new TunnelKeys(path, log, new KeyRing(keys), { kind: "folder", folder: read, current: keys });
  }

  /** The path of the key folder; undefined for a single key file. */
  get folder(): string | undefined {
    return this.#source.kind === "folder" ? this.#path : undefined;
  }

  /** What `spiped key-id` prints for the key in use; undefined for a key folder. */
  get id(): string | undefined {
    const [only] = this.#ring.keys;
    return only === undefined || only.name !== undefined ? undefined : keyIdOf(only.key);
  }

  /** The keys, for the tunnel. */
  get ring(): KeyRing {
    return this.#ring;
  }

  /** Reloads the keys; resolves when that is done, even if it failed. */
  reload(user: KeyUser): Promise<void> {
    return this.#reloads.request(() => this.#read(user));
  }

  /** Wipes the keys, and those of a reload that is still running. Call it when no handshake can begin any more. */
  destroy(): void {
    this.#isOver = true;
    for (const { key } of this.#ring.replace([])) key.destroy();
  }

  async #read(user: KeyUser): Promise<void> {
    if (this.#isOver) return;
    try {
      const source = this.#source;
      const problem = await (source.kind === "file" ? this.#readFile(source.reader) : this.#readFolder(source, user));
      user.reloaded?.(problem);
    } catch (error) {
      if (this.#isOver) return;
      this.#log.write(keyKeptEntry(this.#path, error, this.#source.kind, error instanceof UnclearKeys));
      user.reloaded?.(messageOf(error));
    }
  }

  async #readFile(reader: KeyFileReader): Promise<undefined> {
    const { key, warnings } = await reader.read();
    if (this.#isOver) {
      key.destroy();
      return undefined;
    }
    for (const warning of warnings) this.#log.warning(warning);
    // Running handshakes keep the old key until they end.
    for (const old of this.#ring.replace([{ name: undefined, key }])) old.key.destroy();
    this.#log.write(keyReloadedEntry(this.#path));
    return undefined;
  }

  /** @returns Why not every file in it is used. */
  async #readFolder(source: Source & { readonly kind: "folder" }, user: KeyUser): Promise<string | undefined> {
    const { keys, problems, warnings } = await source.folder.reload(source.current);
    if (this.#isOver) {
      for (const { key } of keys) key.destroy();
      return undefined;
    }
    const changes = this.#ring.update(keys);
    const ended = user.endRemoved();
    // For unchanged keys, the ring keeps its old handles.
    source.current = keys.map((key, index) => ({ ...key, key: this.#ring.keys[index]?.key ?? key.key }));
    for (const problem of problems) this.#log.write(oneKeyKeptEntry(this.#path, problem));
    for (const warning of warnings) this.#log.write(keyWarningEntry(this.#path, warning));
    this.#log.write(keysReloadedEntry(this.#path, keys.length, changes, ended));
    if (keys.length === 0) this.#log.write(noKeyLeftEntry(this.#path));
    const [first, ...others] = problems;
    return others.length === 0 ? first : `${first}; and ${counted(others.length, "more problem")}`;
  }
}
