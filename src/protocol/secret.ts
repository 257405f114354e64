/**
 * The shared key K: made from the key file's contents inside the addon, and never a JavaScript value.
 *
 * Source: DESIGN.md, "Keys".
 */

import { addon, type SharedKey } from "../native/native.js";

export type { SharedKey } from "../native/native.js";

/** Takes a key file's contents piece by piece. */
export interface KeyHasher {
  /** Takes the next piece, of any length. The caller wipes it. */
  update(piece: Uint8Array): void;
  /** Ends the contents and gives K. Nothing can be added afterwards. */
  finish(): SharedKey;
  /** Wipes what has been taken, where it does not come to an end. */
  destroy(): void;
}

/** Begins to take a key file's contents. */
export function createKeyHasher(): KeyHasher {
  return new addon.KeyHasher();
}
