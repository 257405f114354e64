// Event-loop delay.

import assert from "node:assert/strict";
import { test } from "node:test";
import { EventLoopDelay } from "#dist/status/event-loop-delay.js";
import { countOf } from "#dist/status/histogram.js";
import { ManualClock } from "../support/manual-clock.js";

test("delay is measured twice a second until stopped", () => {
  const clock = new ManualClock();
  const delay = new EventLoopDelay(clock);
  delay.start();
  clock.pass(500);
  clock.pass(620);
  assert.equal(countOf(delay.figures), 2);
  assert.equal(delay.figures.sum, 0.12);
  delay.stop();
  assert.equal(clock.waiting, 0);
});
