/**
 * The state of the process and its tunnels at one moment, as plain data. The collector creates it; metrics, JSON and health
 * are functions of it.
 */

import type { EndReason } from "../errors.js";
import type { HistogramFigures } from "./histogram.js";

/** The whole state. Times of day are milliseconds since 1970. */
export interface Snapshot {
  readonly build: Build;
  readonly nowMs: number;
  readonly startedAtMs: number;
  /** Whether the process is shutting down. */
  readonly isStopping: boolean;
  readonly lastReload: LastReload;
  readonly process: ProcessFigures;
  /** How late timers fire. */
  readonly eventLoopDelay: HistogramFigures;
  readonly tunnels: readonly TunnelSnapshot[];
}

/** The versions that run. */
export interface Build {
  /** Of spiped, for example `0.1.0`. */
  readonly version: string;
  /** Of Node.js, for example `24.1.0`. */
  readonly node: string;
  /** For example `linux-x64`. */
  readonly platform: string;
}

/** The result of the last reload; a start counts as a successful one. */
export interface LastReload {
  /** Whether all that was read then is in use. */
  readonly successful: boolean;
  /** Undefined if there was none since the start. */
  readonly atMs: number | undefined;
  readonly ageMs: number | undefined;
  readonly lastSuccessAtMs: number;
  readonly lastSuccessAgeMs: number;
  readonly failures: readonly ReloadFailure[];
  /** The keys of the process that have changed and need a restart. */
  readonly needRestart: readonly string[];
}

/** What is not in use after a reload. */
export interface ReloadFailure {
  /** `settings`: keys of the process, which need a restart; the rest of the file is in use unless it failed too. */
  readonly what: "configuration" | "settings" | "keys";
  /** The name of the tunnel that has old keys; undefined for `configuration` and `settings`. */
  readonly tunnel: string | undefined;
  /** Whether that is the name of its table. */
  readonly isNamed: boolean;
  /** May name files, and so is not part of the status. */
  readonly problem: string;
}

/** Resource usage of the process; undefined if the system does not report it. */
export interface ProcessFigures {
  readonly cpuSeconds: number;
  readonly residentBytes: number;
  readonly openDescriptors: number | undefined;
  readonly mostDescriptors: number | undefined;
}

/** `removed` means that a reload removed the tunnel and its last connections are still open. */
export type TunnelState = "starting" | "listening" | "draining" | "removed";

/** One tunnel. Counters never decrease, reloads included. */
export interface TunnelSnapshot {
  /** The name of its table, or else its source. */
  readonly name: string;
  readonly role: "encrypt" | "decrypt";
  readonly source: string;
  readonly target: string;
  readonly state: TunnelState;
  /** Whether a new client would be accepted now. */
  readonly isAccepting: boolean;
  /** `Infinity` for no limit. */
  readonly maxConnections: number;
  /** Open connections, without `strangers`. */
  readonly open: number;
  /** The part of `open` from before a reload changed the tunnel; these do not count toward `maxConnections`. */
  readonly draining: number;
  /** Unauthenticated clients of a decrypting end; they have a limit of their own. */
  readonly strangers: number;
  readonly accepted: number;
  /** Counts by reason and key; the key is empty if it has no name, or if the client did not authenticate. */
  readonly ended: readonly EndedCount[];
  /** Cleartext bytes from the source to the target and back, of all connections, open ones included. */
  readonly bytesForward: number;
  readonly bytesReverse: number;
  readonly handshakes: HistogramFigures;
  /** Durations of ended connections that had completed the handshake. */
  readonly connections: HistogramFigures;
  readonly lookupFailures: number;
  readonly keys: readonly KeySnapshot[];
  /** The open connections that have transferred most, at most as many as were requested. */
  readonly busiest: readonly ConnectionSnapshot[];
  /** The last failures, newest first. */
  readonly failures: readonly FailureSnapshot[];
}

/** How many connections ended for one reason with one key. */
export interface EndedCount {
  readonly reason: EndReason;
  readonly key: string;
  readonly count: number;
}

/** The public part of a key. */
export interface KeySnapshot {
  /** Empty if the tunnel has a single key file. */
  readonly name: string;
  readonly id: string;
}

/** One open connection. */
export interface ConnectionSnapshot {
  readonly id: number;
  readonly peer: string;
  readonly key: string;
  readonly phase: string;
  readonly ageMs: number;
  readonly bytesForward: number;
  readonly bytesReverse: number;
  readonly handshakeMs: number | undefined;
}

/** One connection that did not close normally. */
export interface FailureSnapshot {
  readonly atMs: number;
  readonly peer: string;
  readonly key: string;
  readonly reason: EndReason;
  readonly message: string;
}

/** The input of the health check. */
export interface States {
  readonly isStopping: boolean;
  readonly tunnels: readonly Pick<TunnelSnapshot, "state" | "isAccepting">[];
}

/** Provides the current state. */
export interface StatusSource {
  /** @param mostConnections - How many connections of each tunnel to list at most. */
  snapshot(mostConnections: number): Snapshot;
  /** The states alone, without visiting connections. */
  states(): States;
}
