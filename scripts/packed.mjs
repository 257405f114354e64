// The record of what was packed, which goes along with the tarballs: publishing takes nothing else.

import { createHash } from "node:crypto";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";

/** The record's name in the folder of the tarballs. */
const RECORD = "packed.json";

/**
 * @typedef {object} Packed
 * @property {string} name
 * @property {string} version
 * @property {string} file - Of the tarball, in the folder of the record.
 * @property {string} integrity - As npm writes it (`dist.integrity`): of the tarball's SHA-512.
 */

/** What npm calls the integrity of these bytes. */
export function integrityOf(bytes) {
  return `sha512-${createHash("sha512").update(bytes).digest("base64")}`;
}

/**
 * Writes down what is in the tarballs of a folder.
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
 * @param {string} integrity - What {@link writeRecord} has returned, by another way than the folder.
 * @returns {readonly Packed[]}
 * @throws Error where the record is another one.
 */
export function readRecord(folder, integrity) {
  const bytes = readFileSync(join(folder, RECORD));
  if (integrityOf(bytes) !== integrity) throw new Error(`${RECORD} is not the record that was written when packing`);
  return JSON.parse(bytes.toString());
}
