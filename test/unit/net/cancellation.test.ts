// Cancellation: happens once, for one reason, and each listener is called once.

import assert from "node:assert/strict";
import { test } from "node:test";
import { Cancellation } from "#dist/net/cancellation.js";

test("aborting calls each listener once, and sets the state", () => {
  const cancellation = new Cancellation();
  const told: string[] = [];
  cancellation.addEventListener("abort", () => told.push("first"));
  cancellation.addEventListener("abort", () => told.push("second"));
  assert.equal(cancellation.aborted, false);
  cancellation.throwIfAborted();
  const reason = new Error("over");
  cancellation.abort(reason);
  cancellation.abort(new Error("over again"));
  assert.deepEqual(told, ["first", "second"]);
  assert.equal(cancellation.aborted, true);
  assert.equal(cancellation.reason, reason);
  assert.throws(
    () => cancellation.throwIfAborted(),
    (error) => error === reason,
  );
});

test("removed listeners are not called, nor are those added while others are being called", () => {
  const cancellation = new Cancellation();
  const told: string[] = [];
  const gone = () => told.push("gone");
  cancellation.addEventListener("abort", gone);
  cancellation.addEventListener("abort", () => {
    cancellation.addEventListener("abort", () => told.push("late"));
  });
  cancellation.removeEventListener("abort", gone);
  cancellation.abort(new Error("over"));
  assert.deepEqual(told, []);
});
