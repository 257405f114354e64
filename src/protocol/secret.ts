/**
 * The shared key K: derived from the contents of the key file in the addon, and never exposed to JavaScript.
 *
 * Source: docs/protocol.md, "Keys".
 */

import { addon, type SharedKey } from "../native/native.js";
import { asSpipedError } from "./native-errors.js";

export type { KeySet, SharedKey } from "../native/native.js";

/**
 * Derives the key from the contents of a key file. The caller must wipe the contents.
 *
 * @throws SpipedError `SPIPED_KEY_FILE` if the contents are empty.
 */
export function sharedKeyOf(contents: Uint8Array): SharedKey {
  const hasher = new addon.KeyHasher();
  hasher.update(contents);
  try {
    return hasher.finish();
  } catch (cause) {
    throw asSpipedError(cause);
  }
}

/** The public id of a key, four groups of hexadecimal digits. Unlike the SHA-256 of a key file, it is safe to show. */
export function keyIdOf(key: SharedKey): string {
  const digits = Buffer.from(key.id()).toString("hex");
  return (digits.match(/.{4}/g) ?? []).join("-");
}
