// Snapshots as JSON.

import assert from "node:assert/strict";
import { test } from "node:test";
import { statusJsonOf } from "#dist/status/status-json.js";
import { lastReload, snapshotOf, tunnelSnapshot } from "../support/snapshots.js";

test("the document is the one that docs/status.md describes", () => {
  const tunnel = tunnelSnapshot();
  assert.deepEqual(JSON.parse(statusJsonOf(snapshotOf([tunnel]))), {
    version: "0.1.0",
    node: "24.1.0",
    platform: "linux-x64",
    now: "1970-01-01T00:01:01.000Z",
    startedAt: "1970-01-01T00:00:01.000Z",
    uptimeSeconds: 60,
    stopping: false,
    lastReload: { successful: true, lastSuccessAt: "1970-01-01T00:00:01.500Z", at: null, failed: [], needRestart: [] },
    process: {
      cpuSeconds: 1.5,
      residentBytes: 50_000_000,
      openDescriptors: 20,
      maxDescriptors: 1_024,
      eventLoopDelaySeconds: { count: 1, sum: 0.0005, median: 0.0005, p95: 0.00095 },
    },
    tunnels: [
      {
        name: "redis",
        role: "decrypt",
        source: "[0.0.0.0]:6380",
        target: "[127.0.0.1]:6379",
        state: "listening",
        accepting: true,
        connections: {
          open: 2,
          draining: 1,
          strangers: 1,
          limit: 100,
          accepted: 9,
          ended: [
            { reason: "closed", key: "", count: 4 },
            { reason: "reset", key: "web1", count: 1 },
          ],
        },
        bytes: { forward: 1_000, reverse: 2 ** 40 },
        handshakeSeconds: { count: 4, sum: 60.308, median: 0.005, p95: 10 },
        connectionSeconds: { count: 2, sum: 100_002, median: 10, p95: 552_960 },
        lookupFailures: 3,
        keys: [{ name: "web1", id: "0123-4567-89ab-cdef" }],
        busiest: [
          {
            id: 7,
            peer: "[10.0.0.1]:4711",
            key: "web1",
            phase: "piping",
            ageSeconds: 1.5,
            bytesForward: 10,
            bytesReverse: 20,
            handshakeSeconds: 0.004,
          },
        ],
        failures: [
          {
            at: "1970-01-01T00:00:00.500Z",
            peer: "[10.0.0.9]:1",
            key: "",
            reason: "handshake-failed",
            message: "wrong MAC",
          },
        ],
      },
    ],
  });
});

test("no limit and unknown are null", () => {
  const tunnel = tunnelSnapshot({
    maxConnections: Number.POSITIVE_INFINITY,
    handshakes: { bounds: [1], counts: [0, 0], sum: 0 },
  });
  const figures = { cpuSeconds: 1, residentBytes: 1, openDescriptors: undefined, mostDescriptors: undefined };
  const document = JSON.parse(statusJsonOf(snapshotOf([tunnel], { process: figures })));
  assert.equal(document.tunnels[0].connections.limit, null);
  assert.deepEqual(document.tunnels[0].handshakeSeconds, { count: 0, sum: 0, median: null, p95: null });
  assert.deepEqual([document.process.openDescriptors, document.process.maxDescriptors], [null, null]);
});

test("a failed reload says when it was and what failed, and no names of files", () => {
  const failures = [
    { what: "configuration", tunnel: undefined, isNamed: false, problem: "/etc/t.toml:3: no such key" },
    { what: "keys", tunnel: "redis", isNamed: true, problem: "cannot read key file /etc/k" },
    { what: "settings", tunnel: undefined, isNamed: false, problem: "user has changed" },
  ] as const;
  const text = statusJsonOf(
    snapshotOf([], { lastReload: { ...lastReload, successful: false, atMs: 60_000, failures, needRestart: ["user"] } }),
  );
  assert.doesNotMatch(text, /etc/);
  assert.deepEqual(JSON.parse(text).lastReload, {
    successful: false,
    lastSuccessAt: "1970-01-01T00:00:01.500Z",
    at: "1970-01-01T00:01:00.000Z",
    failed: [
      { what: "configuration", tunnel: null },
      { what: "keys", tunnel: "redis" },
      { what: "settings", tunnel: null },
    ],
    needRestart: ["user"],
  });
});
