// Assertions about errors.

import assert from "node:assert/strict";
import { codeOf, type ErrorCode, SpipedError } from "#dist/errors.js";
import { EarlyEnd, type StreamEnd } from "#dist/net/exact-reads.js";

/** Asserts that `step` throws an error of this code, the addon's or a `SpipedError`. */
export function throwsCode(step: () => unknown, code: ErrorCode, message?: string): void {
  assert.throws(step, (error) => hasCode(error, code, message));
}

/** Asserts that `promise` is rejected with an error of this code. */
export async function rejectsCode(promise: Promise<unknown>, code: ErrorCode, message?: string): Promise<void> {
  await assert.rejects(promise, (error) => hasCode(error, code, message));
}

/**
 * Asserts that `step` throws a `SpipedError` of this code whose message matches, and whose hint does if one is given.
 */
export function throwsSpipedError(step: () => unknown, code: ErrorCode, message: RegExp, hint?: RegExp): void {
  assert.throws(step, (error) => isSpipedError(error, code, message, hint));
}

/** Asserts that `promise` is rejected with a `SpipedError` of this code whose message matches. */
export async function rejectsSpipedError(promise: Promise<unknown>, code: ErrorCode, message: RegExp): Promise<void> {
  await assert.rejects(promise, (error) => isSpipedError(error, code, message));
}

/** Asserts that an exact read is rejected because the stream ended after `arrived` of `wanted` bytes. */
export async function rejectsEarlyEnd(
  read: Promise<unknown>,
  how: StreamEnd,
  arrived: number,
  wanted: number,
): Promise<void> {
  await assert.rejects(read, (error) => {
    assert.ok(error instanceof EarlyEnd, String(error));
    assert.deepEqual([error.how, error.arrivedBytes, error.wantedBytes], [how, arrived, wanted]);
    return true;
  });
}

function hasCode(error: unknown, code: ErrorCode, message?: string): true {
  assert.ok(error instanceof Error);
  assert.equal(codeOf(error), code, message ?? error.message);
  return true;
}

function isSpipedError(error: unknown, code: ErrorCode, message: RegExp, hint?: RegExp): true {
  assert.ok(error instanceof SpipedError, String(error));
  assert.equal(error.code, code, error.message);
  assert.match(error.message, message);
  if (hint !== undefined) assert.match(error.hint ?? "", hint);
  return true;
}
