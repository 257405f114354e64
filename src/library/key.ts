/**
 * Keys for programs: read from a file, or made from bytes. What a program holds is a handle; the key itself is in the
 * addon.
 */

import { randomBytes } from "node:crypto";
import { readKeyFile as readSharedKey } from "../config/key-file.js";
import { GENERATED_KEY_BYTES } from "../config/new-key-file.js";
import { type SharedKey, sharedKeyOf } from "../protocol/secret.js";
import { bytes, notConstructible, text } from "./checks.js";

/** A key shared with the peer. `readKeyFile` and `createKey` make it; it has no public constructor. */
export class Key {
  readonly #shared: SharedKey;
  #destroyed = false;

  private constructor(shared: SharedKey | undefined) {
    // The types forbid it; a program in JavaScript has no other check.
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

  /** Whether the key was wiped. */
  get destroyed(): boolean {
    return this.#destroyed;
  }

  /** Wipes the key; connections that are open go on, new ones fail. */
  destroy(): void {
    this.#destroyed = true;
    this.#shared.destroy();
  }

  [Symbol.dispose](): void {
    this.destroy();
  }
}

/**
 * Reads a key file whole, and holds nothing else up meanwhile.
 *
 * @throws SpipedError `SPIPED_KEY_FILE` where it cannot be read, is empty or longer than 64 MiB, or takes longer than
 *   30 s.
 */
export async function readKeyFile(path: string): Promise<Key> {
  // What `-` stands for on the command line is the program's own here.
  const { key } = await readSharedKey(text("path", path) === "-" ? "./-" : path);
  return Key.of(key);
}

/**
 * Makes a key from the contents of a key file, of any length but 0. The caller wipes `contents`.
 *
 * @throws SpipedError `SPIPED_KEY_FILE` where they are empty.
 */
export function createKey(contents: Uint8Array): Key {
  return Key.of(sharedKeyOf(bytes("contents", contents)));
}

/** Random contents for a new key file, 32 bytes; `createKey` makes a key of them. */
export function generateKey(): Uint8Array {
  return randomBytes(GENERATED_KEY_BYTES);
}
