// The cache of expensive responses.

import assert from "node:assert/strict";
import { test } from "node:test";
import { TextCache } from "#dist/status/text-cache.js";

test("a text is generated again when that took at most a twentieth of the time", () => {
  let now = 0;
  let made = 0;
  const texts = new TextCache(() => now);
  const ask = (name = "a") =>
    texts.text(name, () => {
      made += 1;
      now += 10;
      return `${name} ${made}`;
    });
  assert.equal(ask(), "a 1");
  now += 199;
  assert.equal(ask(), "a 1");
  assert.equal(ask("b"), "b 2");
  now += 1;
  assert.equal(ask(), "a 3");
});

test("a text that takes no time is generated each time", () => {
  let made = 0;
  const texts = new TextCache(() => 0);
  const ask = () =>
    texts.text("a", () => {
      made += 1;
      return String(made);
    });
  assert.deepEqual([ask(), ask()], ["1", "2"]);
});
