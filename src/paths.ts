/**
 * Paths whose bytes are not UTF-8, which Linux allows. In a text each such byte stands as a lone surrogate, U+DC80 to
 * U+DCFF, which no UTF-8 can mean; where a path goes to the system, it becomes bytes again here.
 */

import { isUtf8 } from "node:buffer";

/** The text of bytes, from which {@link pathBytes} makes the same bytes. */
export function textOfBytes(bytes: Uint8Array): string {
  const all = Buffer.from(bytes);
  let text = "";
  for (let at = 0; at < all.length; ) {
    const rest = all.subarray(at);
    if (isUtf8(rest)) return text + rest.toString();
    // A character has at most four bytes.
    const length = [1, 2, 3, 4].find((count) => count <= rest.length && isUtf8(rest.subarray(0, count)));
    text += length === undefined ? String.fromCharCode(0xdc00 + all.readUInt8(at)) : rest.toString("utf8", 0, length);
    at += length ?? 1;
  }
  return text;
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
