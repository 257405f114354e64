/**
 * The shared key K: made from the key file's contents inside the addon, and never a JavaScript value.
 *
 * Source: docs/protocol.md, "Keys".
 */

import { addon, type SharedKey } from "../native/native.js";
import { asSpipedError } from "./native-errors.js";

export type { KeySet, SharedKey } from "../native/native.js";

/**
 * The key of a key file with these contents. The caller wipes them.
 *
 * @throws SpipedError `SPIPED_KEY_FILE` where there are none.
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

/** What tells keys apart and may be shown to anybody, which the SHA-256 of a key file may not: four groups of hexadecimal digits. */
export function keyIdOf(key: SharedKey): string {
  const digits = Buffer.from(key.id()).toString("hex");
  return (digits.match(/.{4}/g) ?? []).join("-");
}
