// The answer to SIGUSR1: the state of a service in a bounded number of messages.

import assert from "node:assert/strict";
import { test } from "node:test";
import { SpipedError } from "#dist/errors.js";
import { endedEntry } from "#dist/observe/connection-entries.js";
import type { LogEntry } from "#dist/observe/entry.js";
import { textLines } from "#dist/observe/format.js";
import { type ReloadState, stateEntries, type TunnelState } from "#dist/observe/state-entries.js";
import type { ConnectionReport, ConnectionView } from "#dist/tunnel/reports.js";

const view: ConnectionView = {
  id: 1,
  phase: "piping",
  source: "[10.0.0.1]:7",
  keyName: "laptop",
  ageMs: 61_000,
  handshakeMs: 12,
  bytesForward: 3,
  bytesReverse: 4,
};

const failed: ConnectionReport = {
  ...view,
  phase: "handshaking",
  reason: "handshake-failed",
  error: new SpipedError("SPIPED_WRONG_MAC", "wrong MAC"),
  durationMs: 3,
};

const quiet: TunnelState = {
  name: undefined,
  state: "listening",
  role: "decrypt",
  source: "[0.0.0.0]:2562",
  target: "[127.0.0.1]:80",
  connections: 0,
  strangers: 0,
  limit: 100,
  open: [],
  failures: [],
};

function linesOf(tunnels: readonly TunnelState[], now = 0): readonly string[] {
  const state = { signal: "SIGUSR1", version: "1.2.3", uptimeMs: 93_784_000, tunnels };
  return [...stateEntries(state, now)].flatMap(textLines);
}

test("an idle tunnel is two lines", () => {
  assert.deepEqual(linesOf([quiet]), [
    "SIGUSR1: 0 open connections; spiped 1.2.3, 1 tunnel, up 1 d 2 h",
    "[0.0.0.0]:2562, decrypting to [127.0.0.1]:80: listening, 0 of 100 connections open",
  ]);
});

test("each message names its tunnel: connections with key, age and bytes, and past failures", () => {
  const busy = { ...quiet, name: "redis", connections: 1, limit: Number.POSITIVE_INFINITY, open: [view] };
  const failures = [{ at: 1_000, entry: endedEntry(failed) }];
  assert.deepEqual(linesOf([{ ...busy, failures }, quiet], 244_500).slice(0, -1), [
    "SIGUSR1: 1 open connection; spiped 1.2.3, 2 tunnels, up 1 d 2 h",
    "redis: [0.0.0.0]:2562, decrypting to [127.0.0.1]:80: listening, 1 connections open",
    "redis: connection from [10.0.0.1]:7: open (key laptop, 3 bytes forward, 4 back, 61.000 s, handshake 0.012 s)",
    "redis: 4 min 3 s ago: connection from [10.0.0.1]:7: handshake failed: wrong MAC (key laptop, 0.003 s, handshake 0.012 s)",
  ]);
});

test("of 10,000 connections the oldest are listed and the rest summed up", () => {
  const open = Array.from({ length: 10_000 }, (_, index) => ({ ...view, id: index + 1 }));
  const tunnels = [{ ...quiet, connections: open.length, open }];
  const entries: LogEntry[] = [...stateEntries({ signal: "SIGUSR2", version: "1", uptimeMs: 0, tunnels }, 0)];
  assert.equal(entries.length, 2 + 20 + 1);
  assert.deepEqual(
    entries.slice(2, 22).map(({ connection }) => connection),
    Array.from({ length: 20 }, (_, index) => index + 1),
  );
  const { event, count, bytesForward, bytesReverse } = entries[22] ?? {};
  assert.deepEqual([event, count, bytesForward, bytesReverse], ["state-connections", 9_980, 29_940, 39_920]);
});

test("unauthenticated clients do not count as connections and are not listed", () => {
  const strangers = Array.from({ length: 160 }, () => ({
    ...view,
    phase: "handshaking" as const,
    source: "a stranger",
  }));
  const tunnel = { ...quiet, connections: 2, strangers: 160, open: [...strangers, view, view] };
  const lines = linesOf([tunnel]);
  assert.match(lines[0] ?? "", /: 2 open connections;/);
  assert.match(lines[1] ?? "", /: listening, 2 of 100 connections open, 160 unauthenticated clients$/);
  assert.equal(lines.length, 4);
  assert.doesNotMatch(lines.join("\n"), /a stranger/);
  // There are none at an encrypting end, where clients do not authenticate.
  assert.equal(linesOf([{ ...tunnel, role: "encrypt", strangers: 0 }]).length, 2 + 20 + 1);
});

test("the state is written at every log level", () => {
  const tunnels = [
    { ...quiet, connections: 21, open: Array(21).fill(view), failures: [{ at: 0, entry: endedEntry(failed) }] },
  ];
  for (const entry of stateEntries({ signal: "SIGUSR1", version: "1", uptimeMs: 0, tunnels }, 0)) {
    assert.deepEqual([entry.level, entry.isAnswer], ["info", true], entry.event);
  }
});

test("a tunnel that does not listen yet says why", () => {
  const problem = "cannot resolve far.example:80: unknown name";
  const [, line] = linesOf([{ ...quiet, state: "starting", problem }]);
  assert.equal(line, `[0.0.0.0]:2562, decrypting to [127.0.0.1]:80: starting, 0 of 100 connections open; ${problem}`);
});

test("past failures are listed newest first", () => {
  const entry = endedEntry(failed);
  const failures = [1_000, 2_000, 3_000].map((at) => ({ at, entry }));
  const ages = linesOf([{ ...quiet, failures }], 5_000)
    .slice(2)
    .map((line) => line.replace(/ ago: .*/, ""));
  assert.deepEqual(ages, ["2 s", "3 s", "4 s"]);
});

test("the last reload is one message, and each of its failures one with the name of its tunnel", () => {
  const said = (lastReload: ReloadState) =>
    [...stateEntries({ signal: "SIGUSR1", version: "1", uptimeMs: 0, lastReload, tunnels: [] }, 0)]
      .slice(1)
      .map(({ event, tunnel, ageMs, count, message }) => [event, tunnel, ageMs, count, message]);
  const lastSuccessAgeMs = 7_260_000;
  assert.deepEqual(said({ ageMs: undefined, lastSuccessAgeMs, failures: [] }), []);
  assert.deepEqual(said({ ageMs: 61_000, lastSuccessAgeMs: 61_000, failures: [] }), [
    ["state-reload", undefined, 61_000, 0, "last reload 1 min 1 s ago: all of it is in use"],
  ]);
  const failures = [
    { what: "keys", tunnel: "redis", isNamed: true, problem: "cannot read key file k: why" },
    { what: "keys", tunnel: "[::1]:1", isNamed: false, problem: "why" },
    { what: "configuration", tunnel: undefined, isNamed: false, problem: "t.toml:3: no such key" },
    { what: "settings", tunnel: undefined, isNamed: false, problem: "user has changed; restart spiped to apply it" },
  ] as const;
  const text = (problem: string) => `last reload 5 s ago failed: ${problem}; last load without an error 2 h 1 min ago`;
  assert.deepEqual(said({ ageMs: 5_000, lastSuccessAgeMs, failures }), [
    ["state-reload", "redis", 5_000, 4, text("cannot read key file k: why")],
    ["state-reload", undefined, 5_000, 4, text("why")],
    ["state-reload", undefined, 5_000, 4, text("t.toml:3: no such key")],
    [
      "state-reload",
      undefined,
      5_000,
      4,
      "last reload 5 s ago is only partly in use: user has changed; restart spiped to apply it",
    ],
  ]);
});

test("a reload is not called in use while its tunnels wait for their names", () => {
  const lastReload: ReloadState = { ageMs: 5_000, lastSuccessAgeMs: 5_000, failures: [] };
  const tunnels = [quiet, { ...quiet, state: "starting" }];
  const [, reload] = [...stateEntries({ signal: "SIGUSR1", version: "1", uptimeMs: 0, lastReload, tunnels }, 0)];
  assert.equal(reload?.message, "last reload 5 s ago: read without an error; 1 tunnel not listening yet");
});

test("a tunnel with one key tells its id", () => {
  const keyId = "d02a-ef2f-eb65-ca80";
  assert.equal(
    linesOf([{ ...quiet, keyId }])[1],
    `[0.0.0.0]:2562, decrypting to [127.0.0.1]:80: listening, 0 of 100 connections open, key id ${keyId}`,
  );
});
