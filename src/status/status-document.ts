/**
 * The JSON of `/status`. It is a stable interface, described in docs/status.md: properties may be added, never changed or
 * removed.
 */

import type { EndReason } from "../errors.js";

/** The document. Times are ISO 8601; `null` means no limit or unknown. */
export interface StatusDocument {
  readonly version: string;
  readonly node: string;
  readonly platform: string;
  readonly now: string;
  readonly startedAt: string;
  readonly uptimeSeconds: number;
  readonly stopping: boolean;
  readonly lastReload: ReloadDocument;
  readonly process: ProcessDocument;
  readonly tunnels: readonly TunnelDocument[];
}

/** The last reload; a start counts as a success, but not as a reload. */
export interface ReloadDocument {
  readonly successful: boolean;
  readonly lastSuccessAt: string;
  /** `null` if there was none since the start. */
  readonly at: string | null;
  /** What is not in use: the configuration, settings of the process, or keys of a tunnel. The log says why. */
  readonly failed: ReadonlyArray<{
    readonly what: "configuration" | "settings" | "keys";
    readonly tunnel: string | null;
  }>;
  /** The settings of the process that have changed in the configuration file; they take effect after a restart. */
  readonly needRestart: readonly string[];
}

/** Resource usage of the process. */
export interface ProcessDocument {
  readonly cpuSeconds: number;
  readonly residentBytes: number;
  readonly openDescriptors: number | null;
  readonly maxDescriptors: number | null;
  readonly eventLoopDelaySeconds: DurationDocument;
}

/** A distribution of durations in seconds; `median` and `p95` (the 95th percentile) are estimates. */
export interface DurationDocument {
  readonly count: number;
  readonly sum: number;
  readonly median: number | null;
  readonly p95: number | null;
}

/** One tunnel. */
export interface TunnelDocument {
  readonly name: string;
  readonly role: "encrypt" | "decrypt";
  readonly source: string;
  readonly target: string;
  readonly state: "starting" | "listening" | "draining" | "removed";
  readonly accepting: boolean;
  readonly connections: {
    readonly open: number;
    /** The part of `open` from before a reload changed the tunnel; these do not count toward `limit`. */
    readonly draining: number;
    readonly strangers: number;
    readonly limit: number | null;
    readonly accepted: number;
    readonly ended: ReadonlyArray<{ readonly reason: EndReason; readonly key: string; readonly count: number }>;
  };
  readonly bytes: { readonly forward: number; readonly reverse: number };
  readonly handshakeSeconds: DurationDocument;
  readonly connectionSeconds: DurationDocument;
  readonly lookupFailures: number;
  readonly keys: ReadonlyArray<{ readonly name: string; readonly id: string }>;
  readonly busiest: readonly ConnectionDocument[];
  readonly failures: readonly FailureDocument[];
}

/** One open connection. */
export interface ConnectionDocument {
  readonly id: number;
  readonly peer: string;
  readonly key: string;
  readonly phase: string;
  readonly ageSeconds: number;
  readonly bytesForward: number;
  readonly bytesReverse: number;
  readonly handshakeSeconds: number | null;
}

/** One connection that did not close normally. */
export interface FailureDocument {
  readonly at: string;
  readonly peer: string;
  readonly key: string;
  readonly reason: EndReason;
  readonly message: string;
}
