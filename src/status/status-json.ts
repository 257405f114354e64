/**
 * A snapshot as JSON, for programs and for the page.
 */

import { countOf, type HistogramFigures, quantileOf } from "./histogram.js";
import type { ConnectionSnapshot, FailureSnapshot, Snapshot, TunnelSnapshot } from "./snapshot.js";
import type {
  ConnectionDocument,
  DurationDocument,
  FailureDocument,
  StatusDocument,
  TunnelDocument,
} from "./status-document.js";

/** The answer to `/status`. */
export function statusJsonOf(snapshot: Snapshot): string {
  return `${JSON.stringify(documentOf(snapshot))}\n`;
}

function documentOf(snapshot: Snapshot): StatusDocument {
  const { build, nowMs, startedAtMs, isStopping, lastReload, process: figures, eventLoopDelay, tunnels } = snapshot;
  return {
    version: build.version,
    node: build.node,
    platform: build.platform,
    now: time(nowMs),
    startedAt: time(startedAtMs),
    uptimeSeconds: (nowMs - startedAtMs) / 1_000,
    stopping: isStopping,
    lastReload: {
      successful: lastReload.successful,
      lastSuccessAt: time(lastReload.lastSuccessAtMs),
      at: lastReload.atMs === undefined ? null : time(lastReload.atMs),
      failed: lastReload.failures.map(({ what, tunnel }) => ({ what, tunnel: tunnel ?? null })),
      needRestart: lastReload.needRestart,
    },
    process: {
      cpuSeconds: figures.cpuSeconds,
      residentBytes: figures.residentBytes,
      openDescriptors: figures.openDescriptors ?? null,
      maxDescriptors: finite(figures.mostDescriptors),
      eventLoopDelaySeconds: quantiles(eventLoopDelay),
    },
    tunnels: tunnels.map(tunnelDocument),
  };
}

function tunnelDocument(tunnel: TunnelSnapshot): TunnelDocument {
  const { name, role, source, target, state, isAccepting, busiest } = tunnel;
  return {
    name,
    role,
    source,
    target,
    state,
    accepting: isAccepting,
    connections: {
      open: tunnel.open,
      draining: tunnel.draining,
      strangers: tunnel.strangers,
      limit: finite(tunnel.maxConnections),
      accepted: tunnel.accepted,
      ended: tunnel.ended.filter(({ count }) => count > 0),
    },
    bytes: { forward: tunnel.bytesForward, reverse: tunnel.bytesReverse },
    handshakeSeconds: quantiles(tunnel.handshakes),
    connectionSeconds: quantiles(tunnel.connections),
    lookupFailures: tunnel.lookupFailures,
    keys: tunnel.keys.map(({ name: key, id }) => ({ name: key, id })),
    busiest: busiest.map(connectionDocument),
    failures: tunnel.failures.map(failureDocument),
  };
}

function connectionDocument(connection: ConnectionSnapshot): ConnectionDocument {
  const { id, peer, key, phase, ageMs, bytesForward, bytesReverse, handshakeMs } = connection;
  return {
    id,
    peer,
    key,
    phase,
    ageSeconds: ageMs / 1_000,
    bytesForward,
    bytesReverse,
    handshakeSeconds: handshakeMs === undefined ? null : handshakeMs / 1_000,
  };
}

function failureDocument({ atMs, peer, key, reason, message }: FailureSnapshot): FailureDocument {
  return { at: time(atMs), peer, key, reason, message };
}

/** Null for no limit, since JSON has no infinity, and for unknown. */
function finite(value: number | undefined): number | null {
  return value !== undefined && Number.isFinite(value) ? value : null;
}

function quantiles(figures: HistogramFigures): DurationDocument {
  return {
    count: countOf(figures),
    sum: figures.sum,
    median: quantileOf(figures, 0.5) ?? null,
    p95: quantileOf(figures, 0.95) ?? null,
  };
}

function time(atMs: number): string {
  return new Date(atMs).toISOString();
}
