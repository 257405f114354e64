// Formatting as text and as JSON, also of hostile input from peers and name servers.

import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { KEYS, LEVELS, type LogEntry } from "#dist/observe/entry.js";
import { jsonOf, lostLine, textOf } from "#dist/observe/format.js";

const time = new Date("2026-01-31T12:00:00.007Z");
const bare = { program: "prog", toJournal: false, time: undefined };

const entry: LogEntry = { event: "note", level: "warning", message: "the words" };

test("each line for the journal starts with its priority, in text and in JSON", () => {
  const long = { ...entry, stack: ["one", "two"], hint: "do this" };
  const priorities = { error: 3, warning: 4, info: 6, debug: 7 };
  for (const level of LEVELS) {
    const start = `<${priorities[level]}>`;
    const text = textOf({ ...long, level }, { ...bare, toJournal: true });
    assert.equal(text, `${start}prog: the words\n${start}  one\n${start}  two\n${start}  hint: do this\n`);
    const json = jsonOf({ ...long, level }, { toJournal: true, time });
    assert.ok(json.startsWith(`${start}{`));
    assert.equal(JSON.parse(json.slice(3)).level, level);
  }
});

test("each line in a file has the time, in UTC with milliseconds", () => {
  const text = textOf({ ...entry, stack: ["one"] }, { ...bare, time });
  assert.equal(text, "2026-01-31T12:00:00.007Z prog: the words\n2026-01-31T12:00:00.007Z   one\n");
});

test("an event is one line, with the tunnel before and the hint after the message", () => {
  assert.equal(textOf({ ...entry, tunnel: "redis", hint: "do this" }, bare), "prog: redis: the words; hint: do this\n");
});

test("JSON has the documented keys, durations in seconds, and no undefined facts", () => {
  const json = jsonOf(
    {
      ...entry,
      event: "connection-ended",
      tunnel: "redis",
      peer: "[10.0.0.1]:7",
      key: undefined,
      bytesForward: 12,
      durationMs: 1_234.5678,
      handshakeMs: 0.4,
      targetAddresses: ["a", "b"],
      moreAddresses: true,
      hint: "do this",
    },
    { toJournal: false, time },
  );
  assert.deepEqual(JSON.parse(json), {
    time: "2026-01-31T12:00:00.007Z",
    level: "warning",
    event: "connection-ended",
    message: "the words",
    hint: "do this",
    tunnel: "redis",
    peer: "[10.0.0.1]:7",
    bytes_forward: 12,
    duration_s: 1.235,
    handshake_s: 0,
    more_addresses: true,
    target_addresses: ["a", "b"],
  });
  assert.deepEqual(Object.keys(JSON.parse(json)).slice(0, 4), ["time", "level", "event", "message"]);
});

test("JSON is always one valid line without control characters", () => {
  fc.assert(
    fc.property(fc.string({ unit: "binary", maxLength: 200 }), (text) => {
      const json = jsonOf(
        { ...entry, message: text, peer: text, hint: text, stack: [text] },
        { toJournal: false, time },
      );
      assert.match(json, /^[^\p{Cc}\u2028\u2029\p{Surrogate}]*\n$/u);
      const { message, peer, hint, stack } = JSON.parse(json);
      assert.equal(message, text);
      assert.deepEqual([peer, hint, stack], [message, message, [message]]);
    }),
  );
});

test("bytes that are not UTF-8 and lone surrogates are escaped or replaced in JSON", () => {
  const json = jsonOf({ ...entry, keyFile: "/k\udce9y", message: "\ud800x" }, { toJournal: false, time });
  assert.doesNotMatch(json, /\\ud/i);
  const { key_file: keyFile, message } = JSON.parse(json);
  assert.deepEqual([keyFile, message], ["/k\\xe9y", "\ufffdx"]);
});

test("64 KiB of random text stay one line in both formats", () => {
  const rubbish = Buffer.from(Array.from({ length: 65_536 }, (_, index) => (index * 7) % 256)).toString("latin1");
  assert.equal(textOf({ ...entry, message: rubbish }, bare).split("\n").length, 2);
  const json = jsonOf({ ...entry, message: rubbish }, { toJournal: false, time });
  assert.equal(json.split("\n").length, 2);
  assert.equal(JSON.parse(json).message, rubbish);
});

test("the message about dropped ones is valid JSON with count and time filled in", () => {
  const filled = (line: string) =>
    line.replaceAll("{lost}", "17").replace("{why}", "no space").replace("{time}", time.toISOString());
  assert.equal(filled(lostLine("text", bare)), "prog: log messages dropped: 17 (no space)\n");
  assert.match(
    filled(lostLine("text", { ...bare, time })),
    /^2026-01-31T12:00:00.007Z prog: log messages dropped: 17 /,
  );
  const json = filled(lostLine("json", { ...bare, toJournal: true }));
  assert.ok(json.startsWith("<4>{") && json.endsWith("}\n"));
  assert.deepEqual(JSON.parse(json.slice(3)), {
    time: time.toISOString(),
    level: "warning",
    event: "lines-lost",
    count: 17,
    message: "log messages dropped: 17 (no space)",
  });
});

test("JSON keys are unique", () => {
  const keys = [...Object.values(KEYS), "time", "level", "event", "message", "hint", "stack"];
  assert.equal(new Set(keys).size, keys.length);
});

test("a line break in a path is replaced; each error in a file is a line", () => {
  const error = { event: "error", level: "error", message: "cannot read /a\nspiped: forged" } as const;
  assert.equal(textOf({ ...error, code: "SPIPED_KEY_FILE" }, bare), "prog: cannot read /a?spiped: forged\n");
  const list = { ...error, code: "SPIPED_CONFIG", message: "a.toml: one\nb.toml: two" } as const;
  assert.equal(textOf(list, bare), "prog: a.toml: one\nprog: b.toml: two\n");
});
