// Paths with bytes that are not UTF-8: a text stands for exactly one path, and goes to a terminal without harm.

import assert from "node:assert/strict";
import { test } from "node:test";
import { hasBytes, pathBytes, printableBytes, textOfBytes } from "#dist/paths.js";
import { memoryLog } from "./support/memory-log.js";

for (const [what, bytes, printed] of [
  ["nothing", "", ""],
  ["ASCII", "2f6162", "/ab"],
  ["UTF-8 of every length", "61c3a9e282acf09f9880", "aé€😀"],
  ["Latin-1", "6be979", "k\\xe9y"],
  ["a byte at the beginning and at the end", "ff61ff", "\\xffa\\xff"],
  ["nothing but such bytes", "80ff", "\\x80\\xff"],
  ["a character that is cut short", "61e282", "a\\xe2\\x82"],
  ["a cut character and a whole one", "e282e282ac", "\\xe2\\x82€"],
  ["a surrogate written as if it were a character", "eda080", "\\xed\\xa0\\x80"],
  ["the stand-in of such a byte, written out", "edb3a9", "\\xed\\xb3\\xa9"],
  ["a longer form than needed", "c0af", "\\xc0\\xaf"],
  ["the character for what is unreadable", "efbfbd", "\ufffd"],
] as const) {
  test(`${what}: the text gives the same bytes again, and is printed as ${JSON.stringify(printed)}`, () => {
    const text = textOfBytes(Buffer.from(bytes, "hex"));
    assert.equal(pathBytes(text).toString("hex"), bytes);
    assert.equal(printableBytes(text), printed);
    assert.equal(hasBytes(text), printed.includes("\\x"));
    assert.equal(JSON.parse(JSON.stringify(text)), text);
  });
}

test("a log line has no half characters in it", () => {
  const { log, notices } = memoryLog();
  log.notice(`read ${textOfBytes(Buffer.of(0x6b, 0xe9))}`);
  assert.deepEqual(notices, ["read k\\xe9"]);
});

test("a text of many bytes takes as long as twice a half of it, wherever one is not UTF-8", () => {
  // To look at the rest behind each character took a minute; now it is a matter of milliseconds.
  const bytes = Buffer.alloc(1_000_000, "a");
  bytes.writeUInt8(0xff, bytes.length - 1);
  const started = performance.now();
  assert.equal(textOfBytes(bytes).length, bytes.length);
  assert.ok(performance.now() - started < 10_000);
});
