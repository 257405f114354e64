/**
 * Paths whose bytes are not UTF-8, which Linux allows. In a text each such byte stands as a lone surrogate, U+DC80 to
 * U+DCFF, which no UTF-8 can mean; where a path goes to the system, it becomes bytes again here.
 */

import { isUtf8 } from "node:buffer";

/** What a character beyond ASCII has in bytes. */
const LENGTHS = [2, 3, 4] as const;

/** The text of bytes, from which {@link pathBytes} makes the same bytes. */
export function textOfBytes(bytes: Uint8Array): string {
  const all = Buffer.from(bytes);
  if (isUtf8(all)) return all.toString();
  const parts: string[] = [];
  for (let at = 0; at < all.length; ) {
    const byte = all.readUInt8(at);
    // To ask about all that is left, byte for byte, would take the square of the time.
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

/** The bytes of a path, for whatever hands it to the system: a `Buffer`, since `node:fs` takes no other bytes. */
export function pathBytes(path: string): Buffer {
  const bytesOf = (part: string) => (isByte(part) ? Buffer.of(part.charCodeAt(0) & 0xff) : Buffer.from(part));
  return Buffer.concat(path.split(/([\udc80-\udcff])/u).map(bytesOf));
}

/** Whether a text stands for bytes that are not UTF-8. */
export function hasBytes(text: string): boolean {
  return /[\udc80-\udcff]/u.test(text);
}

/** The text for people: such bytes as `\xe9`. */
export function printableBytes(text: string): string {
  return text.replace(/[\udc80-\udcff]/gu, (byte) => `\\x${(byte.charCodeAt(0) & 0xff).toString(16)}`);
}

function isByte(part: string): boolean {
  return part.length === 1 && hasBytes(part);
}
