// Log messages as text: one line each, no control characters, and internal errors.

import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { SpipedError } from "#dist/errors.js";
import type { Level } from "#dist/observe/entry.js";
import { textLines, textOf } from "#dist/observe/format.js";
import { createLog, errorEntry } from "#dist/observe/log.js";

function logged(write: (log: ReturnType<typeof createLog>) => void): string {
  let text = "";
  const start = { program: "spiped", toJournal: false, time: undefined };
  write(
    createLog({
      write(entry) {
        text += textOf(entry, start);
      },
    }),
  );
  return text;
}

test("a line starts with the program's name and ends with a line break", () => {
  assert.equal(
    logged((log) => log.notice("listening")),
    "spiped: listening\n",
  );
});

test("control characters are replaced, and a line stays one line", () => {
  const nasty = "a\nb\rc\td\u001b[31me\u0007f\u007fg\u0085h\u009bi\0j";
  assert.equal(
    logged((log) => log.notice(nasty)),
    "spiped: a?b?c?d?[31me?f?g?h?i?j\n",
  );
});

test("any text becomes one line of printable characters", () => {
  fc.assert(
    fc.property(fc.string({ unit: "binary", maxLength: 200 }), (text) => {
      const output = logged((log) => log.notice(text));
      assert.ok(output.startsWith("spiped: ") && output.endsWith("\n"));
      assert.ok([...output.slice(0, -1)].every((character) => !isControl(character)));
    }),
  );
});

test("errors and hints contain no control characters but line breaks", () => {
  const words = fc.string({ unit: "binary", maxLength: 100 });
  fc.assert(
    fc.property(words, words, (message, hint) => {
      for (const error of [new SpipedError("SPIPED_USAGE", message, { hint }), new Error(message), message]) {
        const output = logged((log) => log.error(error));
        assert.ok(output.endsWith("\n"));
        assert.ok([...output].every((character) => character === "\n" || !isControl(character)));
      }
    }),
  );
});

test("non-ASCII characters are written unchanged", () => {
  assert.equal(
    logged((log) => log.notice("/run/münchen/東京.sock")),
    "spiped: /run/münchen/東京.sock\n",
  );
});

test("an error is its message, with the hint on a line of its own without the program's name", () => {
  const error = new SpipedError("SPIPED_LISTEN", "cannot listen", { hint: "take another -s" });
  assert.equal(
    logged((log) => log.error(error)),
    "spiped: cannot listen\nspiped: hint: take another -s\n",
  );
  assert.deepEqual(textLines(errorEntry(new SpipedError("SPIPED_LISTEN", "cannot listen"))), ["cannot listen"]);
});

test("a message of several lines keeps its lines", () => {
  const error = new SpipedError("SPIPED_ADDON", "cannot load; tried\n  one: no\n  two: no");
  assert.equal(
    logged((log) => log.error(error)),
    "spiped: cannot load; tried\n  one: no\n  two: no\n",
  );
});

test("an error other than a SpipedError is logged as one line, as an internal error", () => {
  const output = logged((log) => log.error(new TypeError("x is not a function")));
  assert.match(output, /^spiped: internal error: TypeError: x is not a function.*\n$/);
  assert.equal(output.split("\n").length, 2);
  assert.equal(
    logged((log) => log.error("words")),
    "spiped: internal error: words\n",
  );
});

test("a sink gets the level and the unmodified text", () => {
  const written: Array<readonly [Level, readonly string[]]> = [];
  const log = createLog({ write: (entry) => written.push([entry.level, textLines(entry)]) });
  log.notice("one\n");
  log.warning("two\u001b");
  log.error(new SpipedError("SPIPED_ADDON", "three\n  four", { hint: "five\n" }));
  log.error("six");
  assert.deepEqual(written, [
    ["info", ["one?"]],
    ["warning", ["two?"]],
    ["error", ["three", "  four", "hint: five?"]],
    ["error", ["internal error: six"]],
  ]);
});

function isControl(character: string): boolean {
  const code = character.codePointAt(0) ?? 0;
  return code < 0x20 || (code >= 0x7f && code <= 0x9f);
}
