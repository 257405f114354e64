/**
 * Keys for programs: read from a file, or made from bytes. What a program holds is a handle; the key itself is in the
 * addon.
 */

import { randomBytes } from "node:crypto";
import { GENERATED_KEY_LENGTH, readKeyFile as readKeyFileNow } from "../config/key-file.js";
import { createKeyHasher, type SharedKey } from "../protocol/secret.js";

/** A key shared with the peer. */
export class Key {
  readonly #shared: SharedKey;

  /** @internal Made by `readKeyFile` and `createKey`. */
  constructor(shared: SharedKey) {
    this.#shared = shared;
  }

  /** @internal */
  get shared(): SharedKey {
    return this.#shared;
  }

  /** Wipes the key; connections that are open go on, new ones fail. */
  destroy(): void {
    this.#shared.destroy();
  }

  [Symbol.dispose](): void {
    this.destroy();
  }
}

/**
 * Reads a key file whole.
 *
 * @throws SpipedError `SPIPED_KEY_FILE` where it cannot be read.
 */
export async function readKeyFile(path: string): Promise<Key> {
  return new Key(readKeyFileNow(path).key);
}

/** Makes a key from the contents of a key file, of any length. The caller wipes `contents`. */
export function createKey(contents: Uint8Array): Key {
  const hasher = createKeyHasher();
  hasher.update(contents);
  return new Key(hasher.finish());
}

/** Random contents for a new key file, 32 bytes; `createKey` makes a key of them. */
export function generateKey(): Uint8Array {
  return randomBytes(GENERATED_KEY_LENGTH);
}
