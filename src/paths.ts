/**
 * Paths that are not UTF-8, which Linux allows. In a string, each byte that is not part of a UTF-8 character is stored as
 * a lone surrogate, U+DC80 to U+DCFF, which never results from valid UTF-8. The functions here convert such strings back
 * to bytes before they are passed to the system.
 */

import { isUtf8 } from "node:buffer";
import { homedir } from "node:os";

/** The possible lengths of a non-ASCII character in bytes. */
const LENGTHS = [2, 3, 4] as const;

/** Decodes a path; {@link pathBytes} turns the result back into the same bytes. */
export function textOfBytes(bytes: Uint8Array): string {
  const all = Buffer.from(bytes);
  if (isUtf8(all)) return all.toString();
  const parts: string[] = [];
  for (let at = 0; at < all.length; ) {
    const byte = all.readUInt8(at);
    // Check single characters: checking the whole rest for each byte would take quadratic time.
    const length = byte < 0x80 ? asciiLength(all, at) : LENGTHS.find((count) => isCharacter(all, at, count));
    parts.push(length === undefined ? String.fromCharCode(0xdc00 + byte) : all.toString("utf8", at, at + length));
    at += length ?? 1;
  }
  return parts.join("");
}

function asciiLength(all: Buffer, from: number): number {
  let at = from;
  while (at < all.length && all.readUInt8(at) < 0x80) at += 1;
  return at - from;
}

function isCharacter(all: Buffer, at: number, length: number): boolean {
  return at + length <= all.length && isUtf8(all.subarray(at, at + length));
}

/** Encodes a path for a system call. Returns a `Buffer`, since `node:fs` accepts no other byte arrays. */
export function pathBytes(path: string): Buffer {
  const bytesOf = (part: string) => (isByte(part) ? Buffer.of(part.charCodeAt(0) & 0xff) : Buffer.from(part));
  return Buffer.concat(path.split(/([\udc80-\udcff])/u).map(bytesOf));
}

/** Whether a path contains bytes that are not UTF-8. */
export function hasBytes(text: string): boolean {
  return /[\udc80-\udcff]/u.test(text);
}

/** A printable form of a path, in which bytes that are not UTF-8 are shown like `\xe9`. */
export function printableBytes(text: string): string {
  return text.replace(/[\udc80-\udcff]/gu, (byte) => `\\x${(byte.charCodeAt(0) & 0xff).toString(16)}`);
}

/** What to do about a path that begins with `~`, which only a shell expands; undefined for any other path. */
export function homeHint(path: string): string | undefined {
  if (!/^~(?=\/|$)/.test(path)) return undefined;
  return `only a shell expands ~, and not in quotes or after =; write ${path.replace("~", homedir())}`;
}

function isByte(part: string): boolean {
  return part.length === 1 && hasBytes(part);
}
