// Snapshots in Prometheus's text format.

import assert from "node:assert/strict";
import { test } from "node:test";
import { metricsOf } from "#dist/status/metrics.js";
import { readExposition, valueIn } from "../../support/exposition.js";
import { lastReload, snapshotOf, tunnelSnapshot } from "../support/snapshots.js";

/** Every family with its type and labels. Dashboards depend on them: add to this list, but do not change it. */
const FAMILIES: Readonly<Record<string, readonly [type: string, ...labels: string[]]>> = {
  spiped_key_info: ["gauge", "tunnel", "key", "id"],
  spiped_accepting: ["gauge", "tunnel"],
  spiped_connections_open: ["gauge", "tunnel"],
  spiped_connections_draining: ["gauge", "tunnel"],
  spiped_connections_limit: ["gauge", "tunnel"],
  spiped_connections_accepted_total: ["counter", "tunnel"],
  spiped_connections_ended_total: ["counter", "tunnel", "reason", "key"],
  spiped_bytes_total: ["counter", "tunnel", "direction"],
  spiped_handshake_seconds: ["histogram", "tunnel"],
  spiped_connection_seconds: ["histogram", "tunnel"],
  spiped_lookup_failures_total: ["counter", "tunnel"],
  spiped_build_info: ["gauge", "version", "node", "platform"],
  spiped_last_reload_successful: ["gauge"],
  spiped_last_reload_success_timestamp_seconds: ["gauge"],
  spiped_event_loop_delay_seconds: ["histogram"],
  process_cpu_seconds_total: ["counter"],
  process_resident_memory_bytes: ["gauge"],
  process_open_fds: ["gauge"],
  process_max_fds: ["gauge"],
  process_start_time_seconds: ["gauge"],
};

test("exactly the documented families are there, with their types and labels", () => {
  const families = readExposition(metricsOf(snapshotOf([tunnelSnapshot(), tunnelSnapshot({ name: "ssh" })])));
  const found = [...families].map(([name, { type, samples }]) => {
    const labels = new Set(samples.flatMap((one) => Object.keys(one.labels)).filter((label) => label !== "le"));
    return [name, [type, ...labels]];
  });
  assert.deepEqual(Object.fromEntries(found), FAMILIES);
  for (const [name, { help }] of families) assert.match(help, /^.{10,}\.$/, name);
});

test("values are the snapshot's, in seconds and bytes", () => {
  const text = metricsOf(snapshotOf([tunnelSnapshot()], { lastReload: { ...lastReload, successful: false } }));
  const tunnel = "redis";
  for (const [name, labels, value] of [
    ["spiped_accepting", { tunnel }, 1],
    ["spiped_connections_open", { tunnel }, 2],
    ["spiped_connections_draining", { tunnel }, 1],
    ["spiped_connections_limit", { tunnel }, 100],
    ["spiped_connections_accepted_total", { tunnel }, 9],
    ["spiped_connections_ended_total", { tunnel, reason: "reset", key: "web1" }, 1],
    ["spiped_connections_ended_total", { tunnel, reason: "truncated", key: "" }, 0],
    ["spiped_bytes_total", { tunnel, direction: "forward" }, 1_000],
    ["spiped_bytes_total", { tunnel, direction: "reverse" }, 2 ** 40],
    ["spiped_handshake_seconds_bucket", { tunnel, le: "0.005" }, 2],
    ["spiped_handshake_seconds_bucket", { tunnel, le: "10" }, 3],
    ["spiped_handshake_seconds_bucket", { tunnel, le: "+Inf" }, 4],
    ["spiped_connection_seconds_count", { tunnel }, 2],
    ["spiped_lookup_failures_total", { tunnel }, 3],
    ["spiped_key_info", { tunnel, key: "web1", id: "0123-4567-89ab-cdef" }, 1],
    ["spiped_last_reload_successful", {}, 0],
    ["spiped_last_reload_success_timestamp_seconds", {}, 1.5],
    ["process_cpu_seconds_total", {}, 1.5],
    ["process_resident_memory_bytes", {}, 50_000_000],
    ["process_start_time_seconds", {}, 1],
  ] as const) {
    assert.equal(valueIn(text, name, labels), value, `${name} ${JSON.stringify(labels)}`);
  }
});

test("no limit is +Inf, and unknown values are left out", () => {
  const figures = { cpuSeconds: 1, residentBytes: 1, openDescriptors: undefined, mostDescriptors: undefined };
  const tunnel = tunnelSnapshot({ maxConnections: Number.POSITIVE_INFINITY });
  const text = metricsOf(snapshotOf([tunnel], { process: figures }));
  assert.equal(valueIn(text, "spiped_connections_limit", { tunnel: "redis" }), Number.POSITIVE_INFINITY);
  assert.equal(valueIn(text, "process_open_fds"), undefined);
  assert.equal(valueIn(text, "process_max_fds"), undefined);
});

test("special characters in names are escaped", () => {
  for (const name of [
    'quote"',
    "back\\slash",
    "line\nbreak",
    'a",b="c',
    "\\n",
    "µ→🔒",
    "}",
    "\\",
    '"} 1\nevil 1',
  ] as const) {
    const text = metricsOf(snapshotOf([tunnelSnapshot({ name, keys: [{ name, id: "0" }] })]));
    assert.equal(valueIn(text, "spiped_key_info", { tunnel: name, key: name, id: "0" }), 1, name);
    assert.equal(readExposition(text).size, Object.keys(FAMILIES).length);
  }
});

test("without tunnels the output is still valid", () => {
  const families = readExposition(metricsOf(snapshotOf([])));
  assert.equal(families.get("spiped_accepting")?.samples.length, 0);
});
