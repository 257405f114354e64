/**
 * Writes new key files.
 */

import { closeSync, constants, fsyncSync, openSync, unlinkSync, writeSync } from "node:fs";
import { pathBytes } from "../paths.js";
import { unwritable } from "./key-file-messages.js";

/** Length of a key file that {@link generateKeyFile} writes, in bytes. */
export const GENERATED_KEY_BYTES = 32;

/**
 * Writes a new key file: 32 random bytes, mode 0600.
 *
 * @param path - Must not exist.
 * @param random - Fills memory with random bytes.
 * @throws SpipedError `SPIPED_KEY_FILE` if it exists or cannot be written.
 */
export function generateKeyFile(path: string, random: (memory: Uint8Array) => void): void {
  const bytes = new Uint8Array(GENERATED_KEY_BYTES);
  let descriptor: number | undefined;
  try {
    // O_EXCL: never overwrites a key that is in use, and does not follow a link.
    descriptor = openSync(pathBytes(path), constants.O_WRONLY | constants.O_CREAT | constants.O_EXCL, 0o600);
    random(bytes);
    let written = 0;
    while (written < bytes.length) written += writeSync(descriptor, bytes, written);
    fsyncSync(descriptor);
  } catch (cause) {
    // An incomplete key must not be used by mistake, or make the next attempt fail.
    if (descriptor !== undefined) unlinkSync(pathBytes(path));
    throw unwritable(path, cause);
  } finally {
    bytes.fill(0);
    if (descriptor !== undefined) closeSync(descriptor);
  }
}
