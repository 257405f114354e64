// What the addon throws becomes the one class of errors.

import assert from "node:assert/strict";
import { test } from "node:test";
import { endReasonOf, SpipedError } from "#dist/errors.js";
import { asSpipedError } from "#dist/protocol/native-errors.js";

function coded(code: string, message: string): Error {
  return Object.assign(new Error(message), { code });
}

test("an error of the addon keeps its code and becomes the cause", () => {
  const cause = coded("SPIPED_WRONG_MAC", "the addon's words");
  const error = asSpipedError(cause);
  assert.ok(error instanceof SpipedError);
  assert.equal(error.code, "SPIPED_WRONG_MAC");
  assert.equal(error.cause, cause);
  assert.match(error.message, /wrong MAC/);
});

test("an error that is a SpipedError already stays what it is", () => {
  const error = new SpipedError("SPIPED_RESET", "gone");
  assert.equal(asSpipedError(error), error);
});

test("a code without words for people keeps the addon's words", () => {
  const cause = coded("SPIPED_BUFFER", "too small");
  const error = asSpipedError(cause);
  assert.equal(error.message, "too small");
  assert.equal(error.cause, cause);
  assert.match(error.hint ?? "", /please report/);
});

test("anything else that is thrown counts as a mistake of this program", () => {
  for (const thrown of [new TypeError("not a function"), coded("InvalidArg", "expected a handle"), "text", undefined]) {
    const error = asSpipedError(thrown);
    assert.equal(endReasonOf(error), "failed", `${String(thrown)} gives the code ${error.code}`);
    assert.equal(error.cause, thrown);
    assert.match(error.hint ?? "", /please report/);
  }
});
