/**
 * The keys of a tunnel: one for everybody, or one with a name for each client. Handshakes that have begun keep what they
 * have, unless it is taken away; those that begin later go by what is here then.
 */

import { addon } from "../native/native.js";
import type { KeySet, SharedKey } from "./secret.js";

/** A key, and whom it stands for. */
export interface NamedKey {
  /** Undefined where there is one key for everybody. */
  readonly name: string | undefined;
  readonly key: SharedKey;
}

/** A key of a ring, as connections hold it: it may get another name, and it may be taken away. */
export interface RingKey extends NamedKey {
  /** Whether nobody may use it any more. */
  readonly isRemoved: boolean;
}

/** What a server's handshake goes by. */
export interface KeyOffer {
  readonly keys: SharedKey | KeySet;
  /** The keys in the order of the indexes that the handshake gives. */
  readonly entries: readonly RingKey[];
}

/** What has become of a ring's keys. */
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
 * The keys of a tunnel, which may be replaced while it runs. A handshake keeps the offer that it began with; whether its
 * key was removed meanwhile shows in `RingKey.isRemoved`.
 */
export class KeyRing {
  #entries: readonly Entry[] = [];
  #offer: KeyOffer | undefined;

  constructor(keys: readonly NamedKey[]) {
    this.#set(keys.map(entryOf));
  }

  /** One key for everybody. */
  static of(key: SharedKey): KeyRing {
    return new KeyRing([{ name: undefined, key }]);
  }

  /** The keys for a handshake that begins now. */
  get keys(): readonly RingKey[] {
    return this.#entries;
  }

  /** The keys for a server's handshake that begins now; those used most recently are tried first. */
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
   * Takes other keys for handshakes that begin from now on.
   *
   * @returns The keys until now; the caller destroys them, unless others use them.
   */
  replace(keys: readonly NamedKey[]): readonly NamedKey[] {
    const old = this.#entries;
    this.#set(keys.map(entryOf));
    return old;
  }

  /**
   * Takes these keys in the place of those until now. A key is what it is made of: one that is there under another name
   * is renamed, with its connections; one that is not there any more is removed, and whoever holds it sees that.
   *
   * @param keys - With names, no two of them or of the keys the same. They are the ring's from now on, and it destroys
   *   those that are removed.
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
    // Handshakes that have begun have a share of their own.
    if (keys instanceof addon.KeySet) keys.destroy();
    this.#offer = undefined;
  }
}

function entryOf({ name, key }: NamedKey): Entry {
  return { name, key, isRemoved: false };
}
