/**
 * Keys for programs: read from a file, or made from bytes. The program has a handle; the key itself stays in the addon.
 */

import { randomBytes } from "node:crypto";
import { readKeyFile as readSharedKey } from "../config/key-file.js";
import { GENERATED_KEY_BYTES } from "../config/new-key-file.js";
import { type SharedKey, sharedKeyOf } from "../protocol/secret.js";
import { bytes, notConstructible, text } from "./checks.js";

/** A key shared with the peer. Made by `readKeyFile` and `createKey`; there is no public constructor. */
export class Key {
  readonly #shared: SharedKey;
  #destroyed = false;

  private constructor(shared: SharedKey | undefined) {
    // The types forbid this; JavaScript programs need the check.
    if (shared === undefined) throw notConstructible("Key", "readKeyFile or createKey");
    this.#shared = shared;
  }

  /** @internal */
  static of(shared: SharedKey): Key {
    return new Key(shared);
  }

  /** @internal */
  get shared(): SharedKey {
    return this.#shared;
  }

  /** Whether the key has been wiped. */
  get destroyed(): boolean {
    return this.#destroyed;
  }

  /** Wipes the key. Open connections continue; new ones fail. */
  destroy(): void {
    this.#destroyed = true;
    this.#shared.destroy();
  }

  [Symbol.dispose](): void {
    this.destroy();
  }
}

/**
 * Reads a key file without blocking the event loop.
 *
 * @throws SpipedError `SPIPED_KEY_FILE` if it cannot be read, is empty or longer than 64 MiB, or takes longer than 30
 *   s.
 */
export async function readKeyFile(path: string): Promise<Key> {
  // On the command line `-` is standard input; in a library it is an ordinary file name.
  const { key } = await readSharedKey(text("path", path) === "-" ? "./-" : path);
  return Key.of(key);
}

/**
 * Makes a key from the contents of a key file, at least one byte. The caller wipes `contents`.
 *
 * @throws SpipedError `SPIPED_KEY_FILE` if they are empty.
 */
export function createKey(contents: Uint8Array): Key {
  return Key.of(sharedKeyOf(bytes("contents", contents)));
}

/** Generates the contents of a new key file, 32 random bytes. Pass them to `createKey` to make a key. */
export function generateKey(): Uint8Array {
  return randomBytes(GENERATED_KEY_BYTES);
}
