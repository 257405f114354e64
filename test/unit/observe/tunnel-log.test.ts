// What a tunnel reports, in lines.

import assert from "node:assert/strict";
import { test } from "node:test";
import { SpipedError } from "#dist/errors.js";
import type { Log } from "#dist/observe/log.js";
import { createTunnelLog } from "#dist/observe/tunnel-log.js";
import type { ConnectionReport } from "#dist/tunnel/connection.js";

function keptLog(): { readonly log: Log; readonly lines: string[]; readonly errors: unknown[] } {
  const lines: string[] = [];
  const errors: unknown[] = [];
  return { log: { line: (text) => lines.push(text), error: (error) => errors.push(error) }, lines, errors };
}

const report: ConnectionReport = {
  reason: "handshake-failed",
  error: new SpipedError("SPIPED_WRONG_MAC", "wrong MAC"),
  phase: "handshaking",
  source: "[10.0.0.1]:7",
  bytesForward: 0,
  bytesReverse: 0,
  durationMs: 3,
};

test("each connection that did not end in an orderly way is one line", () => {
  const { log, lines } = keptLog();
  const events = createTunnelLog(log);
  events.connectionEnded(report);
  events.connectionEnded({ ...report, reason: "closed", error: undefined });
  events.connectionEnded(report);
  assert.deepEqual(lines, [
    "connection from [10.0.0.1]:7: handshake failed: wrong MAC (0.003 s)",
    "connection from [10.0.0.1]:7: handshake failed: wrong MAC (0.003 s)",
  ]);
});

test("the limit is said when it is reached, and again only after a minute", () => {
  const { log, lines } = keptLog();
  let now = 0;
  const events = createTunnelLog(log, () => now);
  for (now of [0, 1, 59_999, 60_000, 60_001, 119_999, 120_000]) events.limitReached(100);
  assert.equal(lines.length, 3);
  assert.match(lines[0] ?? "", /^100 connections are open, as many as -n allows; further clients wait$/);
});

test("a failure to listen is an error of the log", () => {
  const { log, lines, errors } = keptLog();
  const error = new SpipedError("SPIPED_LISTEN", "cannot accept");
  createTunnelLog(log).listenFailed(error);
  assert.deepEqual(errors, [error]);
  assert.deepEqual(lines, []);
});
