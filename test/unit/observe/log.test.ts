// Log lines: one for each thing, nothing in them that a terminal would obey, and never a reason to end or to wait.

import assert from "node:assert/strict";
import { PassThrough, Writable } from "node:stream";
import { test } from "node:test";
import fc from "fast-check";
import { SpipedError } from "#dist/errors.js";
import { createLog, errorLines, type Severity, streamSink } from "#dist/observe/log.js";
import { turns } from "../support/sink.js";

function logged(write: (log: ReturnType<typeof createLog>) => void): string {
  const stream = new PassThrough();
  write(createLog(streamSink("spiped", stream)));
  let text = "";
  for (let piece: unknown = stream.read(); piece !== null; piece = stream.read()) text += String(piece);
  return text;
}

test("a line begins with the program's name and ends with a line break", () => {
  assert.equal(
    logged((log) => log.notice("listening")),
    "spiped: listening\n",
  );
});

test("control characters never reach the terminal, and a line stays one line", () => {
  const nasty = "a\nb\rc\td\u001b[31me\u0007f\u007fg\u0085h\u009bi\0j";
  assert.equal(
    logged((log) => log.notice(nasty)),
    "spiped: a?b?c?d?[31me?f?g?h?i?j\n",
  );
});

test("whatever the text, one line is one line of printable characters", () => {
  fc.assert(
    fc.property(fc.string({ unit: "binary", maxLength: 200 }), (text) => {
      const output = logged((log) => log.notice(text));
      assert.ok(output.startsWith("spiped: ") && output.endsWith("\n"));
      assert.ok([...output.slice(0, -1)].every((character) => !isControl(character)));
    }),
  );
});

test("whatever the text of an error and its hint, nothing but line breaks between lines is a control character", () => {
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

test("characters of other languages are written as they are", () => {
  assert.equal(
    logged((log) => log.notice("/run/münchen/東京.sock")),
    "spiped: /run/münchen/東京.sock\n",
  );
});

test("an error is its message, and its hint on a line of its own without the program's name", () => {
  const error = new SpipedError("SPIPED_LISTEN", "cannot listen", { hint: "take another -s" });
  assert.equal(
    logged((log) => log.error(error)),
    "spiped: cannot listen\nhint: take another -s\n",
  );
  assert.deepEqual(errorLines(new SpipedError("SPIPED_LISTEN", "cannot listen")), ["cannot listen"]);
});

test("a message of several lines keeps them", () => {
  const error = new SpipedError("SPIPED_ADDON", "cannot load; tried\n  one: no\n  two: no");
  assert.equal(
    logged((log) => log.error(error)),
    "spiped: cannot load; tried\n  one: no\n  two: no\n",
  );
});

test("an error that is no SpipedError is one line that says it is ours", () => {
  const output = logged((log) => log.error(new TypeError("x is not a function")));
  assert.match(output, /^spiped: internal error: TypeError: x is not a function.*\n$/);
  assert.equal(output.split("\n").length, 2);
  assert.equal(
    logged((log) => log.error("words")),
    "spiped: internal error: words\n",
  );
});

test("a sink is told how bad each line is, and gets an error's lines one by one", () => {
  const written: Array<readonly [Severity, string]> = [];
  const log = createLog({ write: (severity, line) => written.push([severity, line]) });
  log.notice("one\n");
  log.warning("two\u001b");
  log.error(new SpipedError("SPIPED_ADDON", "three\n  four", { hint: "five\n" }));
  log.error("six");
  assert.deepEqual(written, [
    ["notice", "one?"],
    ["warning", "two?"],
    ["error", "three"],
    ["error", "  four"],
    ["error", "hint: five?"],
    ["error", "internal error: six"],
  ]);
});

test("lines to a stream that is closed are dropped", async () => {
  const stream = new PassThrough();
  const log = createLog(streamSink("spiped", stream));
  stream.destroy(new Error("write EPIPE"));
  await turns();
  log.notice("nobody reads this");
  log.error(new Error("nor this"));
  await turns();
  assert.equal(stream.readableLength, 0);
});

test("a write that fails ends nothing, and neither do the lines after it", async () => {
  let writes = 0;
  const stream = new Writable({
    write: (_chunk, _encoding, done) => {
      writes += 1;
      done(Object.assign(new Error("write EPIPE"), { code: "EPIPE" }));
    },
  });
  const log = createLog(streamSink("spiped", stream));
  log.notice("one");
  await turns();
  log.notice("two");
  await turns();
  assert.equal(writes, 1);
});

test("lines that nobody reads are dropped after a megabyte, and written again when somebody does", async () => {
  const held: Array<() => void> = [];
  let isHolding = true;
  let written = 0;
  const stream = new Writable({
    write: (chunk: Buffer, _encoding, done) => {
      written += chunk.length;
      if (isHolding) held.push(done);
      else done();
    },
  });
  const log = createLog(streamSink("spiped", stream));
  const line = "x".repeat(10_000);
  for (let count = 0; count < 1_000; count += 1) log.notice(line);
  assert.ok(stream.writableLength <= 1_024 * 1_024 + 20_000, `${stream.writableLength} bytes wait`);
  isHolding = false;
  for (const done of held) done();
  while (stream.writableLength > 0) await turns(1);
  const before = written;
  log.notice("again");
  assert.equal(written, before + "spiped: again\n".length);
});

function isControl(character: string): boolean {
  const code = character.codePointAt(0) ?? 0;
  return code < 0x20 || (code >= 0x7f && code <= 0x9f);
}
