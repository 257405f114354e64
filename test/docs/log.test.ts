// docs/log.md lists what the program writes: all of it, and nothing else.

import assert from "node:assert/strict";
import { test } from "node:test";
import { EVENTS, KEYS, LEVELS } from "#dist/observe/entry.js";
import { RECOGNISED } from "#dist/tunnel/recognition.js";
import { readPage } from "./pages.js";

const page = readPage("docs/log.md");

/** The first cells of a table's rows, those that are code. */
function rowsBelow(heading: string): readonly string[] {
  const [, section = ""] = page.split(new RegExp(`^#{2,3} ${heading}$`, "m"));
  const [table = ""] = section.split(/^#{2,3} /m);
  return [...table.matchAll(/^\| `([^`]+)` /gm)].map(([, cell = ""]) => cell);
}

test("each event is listed", () => {
  assert.deepEqual([...rowsBelow("Events")].sort(), [...EVENTS].sort());
});

test("each key is listed, in its order", () => {
  assert.deepEqual(rowsBelow("Keys"), ["time", "level", "event", "message", "hint", "stack", ...Object.values(KEYS)]);
});

test("each level is listed, the worst first", () => {
  assert.deepEqual(rowsBelow("Levels"), LEVELS);
});

test("all that is recognised is listed", () => {
  assert.deepEqual(rowsBelow("What is there instead of spiped"), RECOGNISED);
});

test("the example is an object with documented keys", () => {
  const [, line = ""] = /^```jsonl\n(.*)\n```$/m.exec(page) ?? [];
  const keys = rowsBelow("Keys");
  for (const key of Object.keys(JSON.parse(line))) assert.ok(keys.includes(key), key);
});
