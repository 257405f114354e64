// Histograms of durations.

import assert from "node:assert/strict";
import { test } from "node:test";
import { countOf, Histogram, quantileOf } from "#dist/status/histogram.js";

const bounds = [1, 2, 4];

test("a value on a bound is in the bucket below it, and one above the last bound is counted too", () => {
  const histogram = new Histogram(bounds);
  for (const seconds of [0, 1, 1.001, 2, 4, 4.001, 1e9]) histogram.add(seconds);
  assert.deepEqual(histogram.figures.counts, [2, 2, 1, 2]);
  assert.equal(countOf(histogram.figures), 7);
  assert.equal(histogram.figures.sum, 1e9 + 12.002);
});

test("figures are a copy: later values do not change them", () => {
  const histogram = new Histogram(bounds);
  const before = histogram.figures;
  histogram.add(1);
  assert.deepEqual(before.counts, [0, 0, 0, 0]);
});

test("a quantile lies within its bucket, is at most the last bound, and is undefined without values", () => {
  const histogram = new Histogram(bounds);
  assert.equal(quantileOf(histogram.figures, 0.5), undefined);
  for (let times = 0; times < 4; times += 1) histogram.add(3);
  assert.equal(quantileOf(histogram.figures, 0.5), 3);
  assert.equal(quantileOf(histogram.figures, 1), 4);
  for (let times = 0; times < 96; times += 1) histogram.add(5);
  assert.equal(quantileOf(histogram.figures, 0.5), 4);
});
