// How the last reload went: what of it failed, and since when something old is in use.

import assert from "node:assert/strict";
import { test } from "node:test";
import { ReloadRecord } from "#dist/service/reload-record.js";
import type { ShownConfig } from "#dist/status/shown-config.js";

const target = { kind: "unix", path: "/run/service" } as const;
const redis: ShownConfig = { name: "redis", role: "decrypt", source: target, target, maxConnections: 1 };
const unnamed: ShownConfig = { ...redis, name: undefined };

/** A record whose clocks show `at.now`; the time of day is a second ahead. */
function record() {
  const at = { now: 1_000 };
  const made = new ReloadRecord({ clock: { now: () => at.now }, timeOfDay: () => at.now + 1_000 });
  return { made, at };
}

test("a start counts as a success, and not as a reload", () => {
  const { made, at } = record();
  at.now = 4_000;
  assert.deepEqual(made.last, {
    successful: true,
    atMs: undefined,
    ageMs: undefined,
    lastSuccessAtMs: 2_000,
    lastSuccessAgeMs: 3_000,
    failures: [],
    needRestart: [],
  });
});

test("a reload is successful if all parts are, and the time of the last success is kept", () => {
  const { made, at } = record();
  at.now = 2_000;
  made.reloaded(redis, "cannot read key file k: why");
  made.reloaded(unnamed, undefined);
  at.now = 5_000;
  assert.deepEqual(made.last, {
    successful: false,
    atMs: 3_000,
    ageMs: 3_000,
    lastSuccessAtMs: 2_000,
    lastSuccessAgeMs: 4_000,
    failures: [{ what: "keys", tunnel: "redis", isNamed: true, problem: "cannot read key file k: why" }],
    needRestart: [],
  });
  made.reloaded(redis, undefined);
  assert.deepEqual([made.last.successful, made.last.lastSuccessAtMs, made.last.failures], [true, 6_000, []]);
  made.reloaded(unnamed, "why");
  assert.deepEqual(made.last.failures, [{ what: "keys", tunnel: "/run/service", isNamed: false, problem: "why" }]);
});

test("keys that are reloaded with a file that has mistakes are no successful reload", () => {
  const { made, at } = record();
  at.now = 2_000;
  made.reloading();
  made.reloaded(redis, undefined);
  made.reloaded(undefined, "a mistake");
  assert.deepEqual(
    [made.last.lastSuccessAtMs, made.last.failures],
    [2_000, [{ what: "configuration", tunnel: undefined, isNamed: false, problem: "a mistake" }]],
  );
  at.now = 3_000;
  made.reloading();
  made.reloaded(undefined, undefined);
  assert.deepEqual([made.last.successful, made.last.lastSuccessAtMs], [true, 4_000]);
});

test("a reload with settings that need a restart is not successful until the file has the old ones again", () => {
  const { made, at } = record();
  const reload = (keys: readonly string[], problem?: string) => {
    at.now += 1_000;
    made.reloading();
    if (problem === undefined) made.needRestart(keys);
    made.reloaded(redis, undefined);
    made.reloaded(undefined, problem);
    const { successful, lastSuccessAtMs, failures, needRestart } = made.last;
    return [successful, lastSuccessAtMs, failures.map((one) => [one.what, one.problem]), needRestart];
  };
  const settings = (text: string) => ["settings", text];
  const one = settings("user has changed; restart spiped to apply it");
  assert.equal(made.status, "");
  assert.deepEqual(reload(["user"]), [false, 2_000, [one], ["user"]]);
  assert.equal(made.status, "; user has changed; restart spiped to apply it");
  // A file with mistakes does not say which settings it would have.
  assert.deepEqual(reload([], "a mistake"), [false, 2_000, [["configuration", "a mistake"], one], ["user"]]);
  assert.equal(made.status, "; the last reload failed");
  const both = settings("user, status have changed; restart spiped to apply them");
  assert.deepEqual(reload(["user", "status"]), [false, 2_000, [both], ["user", "status"]]);
  assert.deepEqual(reload([]), [true, 6_000, [], []]);
});

for (const forget of ["watch", "remove"] as const) {
  test(`the failure of a tunnel is forgotten with ${forget}`, () => {
    const { made } = record();
    made.reloaded(redis, "why");
    made[forget](redis);
    assert.ok(made.last.successful);
  });
}
