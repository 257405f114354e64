// The record of what was packed, stored with the tarballs: nothing else is published.

import { createHash } from "node:crypto";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";

/** The name of the record in the folder of the tarballs. */
const RECORD = "packed.json";

/**
 * @typedef {object} Packed
 * @property {string} name
 * @property {string} version
 * @property {string} file - The tarball, in the folder of the record.
 * @property {string} integrity - The tarball's SHA-512, as npm writes it (`dist.integrity`).
 */

/** The SHA-512 of these bytes, as npm writes it. */
export function integrityOf(bytes) {
  return `sha512-${createHash("sha512").update(bytes).digest("base64")}`;
}

/**
 * Writes the record of a folder's tarballs.
 *
 * @param {readonly Omit<Packed, "integrity">[]} packages
 * @returns {string} The integrity of the record itself.
 */
export function writeRecord(folder, packages) {
  const packed = packages.map((one) => ({ ...one, integrity: integrityOf(readFileSync(join(folder, one.file))) }));
  const bytes = Buffer.from(`${JSON.stringify(packed, null, 2)}\n`);
  writeFileSync(join(folder, RECORD), bytes);
  return integrityOf(bytes);
}

/**
 * @param {string} integrity - What {@link writeRecord} returned; it must not come from the folder.
 * @returns {readonly Packed[]}
 * @throws Error if the record is a different one.
 */
export function readRecord(folder, integrity) {
  const bytes = readFileSync(join(folder, RECORD));
  if (integrityOf(bytes) !== integrity) throw new Error(`${RECORD} is not the record that was written when packing`);
  return JSON.parse(bytes.toString());
}
