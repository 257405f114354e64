/**
 * The keys of a tunnel: a single key for all clients, or a named key for each client. Changes affect new handshakes;
 * handshakes in progress keep the keys that they started with, but can see that a key was removed.
 */

import { addon } from "../native/native.js";
import type { KeySet, SharedKey } from "./secret.js";

/** A key and the client that it belongs to. */
export interface NamedKey {
  /** Undefined for a single key of all clients. */
  readonly name: string | undefined;
  readonly key: SharedKey;
}

/** A key of a ring. It can be renamed or removed while connections use it. */
export interface RingKey extends NamedKey {
  /** Whether the key was removed from the ring. */
  readonly isRemoved: boolean;
}

/** The keys of a server's handshake. */
export interface KeyOffer {
  readonly keys: SharedKey | KeySet;
  /** The keys, in the order of `ServerHandshake.keyIndex`. */
  readonly entries: readonly RingKey[];
}

/** The names of the keys that an update has changed. */
export interface KeyChanges {
  readonly added: readonly string[];
  readonly removed: readonly string[];
  readonly renamed: readonly (readonly [from: string, to: string])[];
}

interface Entry extends RingKey {
  name: string | undefined;
  isRemoved: boolean;
}

/**
 * The keys of a tunnel, which can be replaced while it runs. A handshake keeps the offer that it started with;
 * `RingKey.isRemoved` shows whether its key has been removed since.
 */
export class KeyRing {
  #entries: readonly Entry[] = [];
  #offer: KeyOffer | undefined;

  constructor(keys: readonly NamedKey[]) {
    this.#set(keys.map(entryOf));
  }

  /** Creates a ring with a single key for all clients. */
  static of(key: SharedKey): KeyRing {
    return new KeyRing([{ name: undefined, key }]);
  }

  /** The current keys. */
  get keys(): readonly RingKey[] {
    return this.#entries;
  }

  /** The keys for a server's next handshake. The handshake tries the most recently used keys first. */
  get offer(): KeyOffer {
    if (this.#offer === undefined) {
      const entries = this.#entries;
      const [first] = entries;
      const single = entries.length === 1 ? first?.key : undefined;
      this.#offer = { keys: single ?? new addon.KeySet(entries.map(({ key }) => key)), entries };
    }
    return this.#offer;
  }

  /**
   * Replaces the keys for new handshakes.
   *
   * @returns The old keys; the caller must destroy them, unless they are in use elsewhere.
   */
  replace(keys: readonly NamedKey[]): readonly NamedKey[] {
    const old = this.#entries;
    this.#set(keys.map(entryOf));
    return old;
  }

  /**
   * Updates the keys. Keys are identified by their contents: a known key with a new name is renamed, also for its
   * connections; a key that is no longer in the list is removed and marked as such.
   *
   * @param keys - Named keys, with distinct names and contents. The ring takes ownership and destroys removed keys.
   */
  update(keys: readonly NamedKey[]): KeyChanges {
    const left = new Set(this.#entries);
    const added: string[] = [];
    const renamed: (readonly [string, string])[] = [];
    const entries = keys.map((found) => {
      const { name = "", key } = found;
      const old = [...left].find((entry) => entry.key === key || entry.key.isSame(key));
      if (old === undefined) {
        added.push(name);
        return entryOf(found);
      }
      left.delete(old);
      if (old.key !== key) key.destroy();
      if (old.name !== name) renamed.push([old.name ?? "", name]);
      old.name = name;
      return old;
    });
    const removed = [...left].map((entry) => {
      entry.isRemoved = true;
      return entry.name ?? "";
    });
    this.#set(entries);
    for (const { key } of left) key.destroy();
    return { added, removed, renamed };
  }

  #set(entries: readonly Entry[]): void {
    this.#entries = entries;
    const keys = this.#offer?.keys;
    // Handshakes in progress hold their own reference.
    if (keys instanceof addon.KeySet) keys.destroy();
    this.#offer = undefined;
  }
}

function entryOf({ name, key }: NamedKey): Entry {
  return { name, key, isRemoved: false };
}
