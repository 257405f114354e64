// Errors of the addon become SpipedErrors.

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

test("a SpipedError is returned unchanged", () => {
  const error = new SpipedError("SPIPED_RESET", "gone");
  assert.equal(asSpipedError(error), error);
});

test("a code without a message of its own keeps the addon's message", () => {
  const cause = coded("SPIPED_BUFFER", "too small");
  const error = asSpipedError(cause);
  assert.equal(error.message, "too small");
  assert.equal(error.cause, cause);
  assert.match(error.hint ?? "", /please report/);
});

test("anything else that is thrown is an internal error", () => {
  for (const thrown of [new TypeError("not a function"), coded("InvalidArg", "expected a handle"), "text", undefined]) {
    const error = asSpipedError(thrown);
    assert.equal(endReasonOf(error), "failed", `${String(thrown)} gives the code ${error.code}`);
    assert.equal(error.cause, thrown);
    assert.match(error.hint ?? "", /please report/);
  }
});
