// A complete snapshot, for tests of what is made of one.

import { CONNECTION_BOUNDS, DELAY_BOUNDS, HANDSHAKE_BOUNDS, Histogram } from "#dist/status/histogram.js";
import type { LastReload, Snapshot, TunnelSnapshot } from "#dist/status/snapshot.js";

/** There was none since the start. */
export const lastReload: LastReload = {
  successful: true,
  atMs: undefined,
  ageMs: undefined,
  lastSuccessAtMs: 1_500,
  lastSuccessAgeMs: 59_500,
  failures: [],
  needRestart: [],
};

/** The histogram of some durations in seconds. */
export function histogramOf(bounds: readonly number[], ...seconds: readonly number[]): TunnelSnapshot["handshakes"] {
  const histogram = new Histogram(bounds);
  for (const one of seconds) histogram.add(one);
  return histogram.figures;
}

export function tunnelSnapshot(changes: Partial<TunnelSnapshot> = {}): TunnelSnapshot {
  return {
    name: "redis",
    role: "decrypt",
    source: "[0.0.0.0]:6380",
    target: "[127.0.0.1]:6379",
    state: "listening",
    isAccepting: true,
    maxConnections: 100,
    open: 2,
    draining: 1,
    strangers: 1,
    accepted: 9,
    ended: [
      { reason: "closed", key: "", count: 4 },
      { reason: "reset", key: "web1", count: 1 },
      { reason: "truncated", key: "", count: 0 },
    ],
    bytesForward: 1_000,
    bytesReverse: 2 ** 40,
    handshakes: histogramOf(HANDSHAKE_BOUNDS, 0.004, 0.004, 0.3, 60),
    connections: histogramOf(CONNECTION_BOUNDS, 2, 100_000),
    lookupFailures: 3,
    keys: [{ name: "web1", id: "0123-4567-89ab-cdef" }],
    busiest: [
      {
        id: 7,
        peer: "[10.0.0.1]:4711",
        key: "web1",
        phase: "piping",
        ageMs: 1_500,
        bytesForward: 10,
        bytesReverse: 20,
        handshakeMs: 4,
      },
    ],
    failures: [{ atMs: 500, peer: "[10.0.0.9]:1", key: "", reason: "handshake-failed", message: "wrong MAC" }],
    ...changes,
  };
}

export function snapshotOf(tunnels: readonly TunnelSnapshot[], changes: Partial<Snapshot> = {}): Snapshot {
  return {
    build: { version: "0.1.0", node: "24.1.0", platform: "linux-x64" },
    nowMs: 61_000,
    startedAtMs: 1_000,
    isStopping: false,
    lastReload,
    process: { cpuSeconds: 1.5, residentBytes: 50_000_000, openDescriptors: 20, mostDescriptors: 1_024 },
    eventLoopDelay: histogramOf(DELAY_BOUNDS, 0.0005),
    tunnels,
    ...changes,
  };
}
