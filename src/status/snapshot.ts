/**
 * What is known of the process and its tunnels at one moment, as plain data: what is counted becomes this, and this
 * becomes metrics, JSON or a word about health.
 */

import type { EndReason } from "../errors.js";
import type { HistogramFigures } from "./histogram.js";

/** One moment. Times of day are milliseconds since 1970. */
export interface Snapshot {
  readonly build: Build;
  readonly nowMs: number;
  readonly startedAtMs: number;
  /** Whether the process is about to end. */
  readonly isStopping: boolean;
  readonly lastReload: LastReload;
  readonly process: ProcessFigures;
  /** How late timers are. */
  readonly eventLoopDelay: HistogramFigures;
  readonly tunnels: readonly TunnelSnapshot[];
}

/** What runs. */
export interface Build {
  /** Of this program: `0.1.0`. */
  readonly version: string;
  /** Of Node.js: `24.1.0`. */
  readonly node: string;
  /** `linux-x64`. */
  readonly platform: string;
}

/** How the last reload went; the start counts as one that went well. */
export interface LastReload {
  readonly successful: boolean;
  readonly lastSuccessAtMs: number;
}

/** What the process takes of the machine; undefined where the system does not tell. */
export interface ProcessFigures {
  readonly cpuSeconds: number;
  readonly residentBytes: number;
  readonly openDescriptors: number | undefined;
  readonly mostDescriptors: number | undefined;
}

/** What a tunnel is about; `removed`: a reload has taken it out, and its last connections go on. */
export type TunnelState = "starting" | "listening" | "draining" | "removed";

/** One tunnel. Counters only grow as long as the process runs, whatever is reloaded. */
export interface TunnelSnapshot {
  /** Its table's name; where there is none, its source. */
  readonly name: string;
  readonly role: "encrypt" | "decrypt";
  readonly source: string;
  readonly target: string;
  readonly state: TunnelState;
  /** Whether another client would be let in now. */
  readonly isAccepting: boolean;
  /** `Infinity` for no limit. */
  readonly maxConnections: number;
  /** Connections of clients that are known. */
  readonly open: number;
  /** Those of them that began before a reload changed the tunnel: they take none of its places. */
  readonly draining: number;
  /** Clients of a decrypting end that have not shown that they have a key: they have places of their own. */
  readonly strangers: number;
  readonly accepted: number;
  /** How many ended of what; a key without a name, and none, is an empty text. */
  readonly ended: readonly EndedCount[];
  /** Bytes of cleartext from the source to the target and back, of all connections, the open ones too. */
  readonly bytesForward: number;
  readonly bytesReverse: number;
  readonly handshakes: HistogramFigures;
  /** Of connections that got through their handshake and have ended. */
  readonly connections: HistogramFigures;
  readonly lookUpFailures: number;
  readonly keys: readonly KeySnapshot[];
  /** The busiest of the open connections, at most as many as were asked for. */
  readonly busiest: readonly ConnectionSnapshot[];
  /** The last failures, the newest first. */
  readonly failures: readonly FailureSnapshot[];
}

/** How many connections ended for one reason with one key. */
export interface EndedCount {
  readonly reason: EndReason;
  readonly key: string;
  readonly count: number;
}

/** A key, as far as anybody may know it. */
export interface KeySnapshot {
  /** An empty text where the tunnel has one key, which needs no name. */
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

/** One connection that did not end in an orderly way. */
export interface FailureSnapshot {
  readonly atMs: number;
  readonly peer: string;
  readonly key: string;
  readonly reason: EndReason;
  readonly message: string;
}

/** What health goes by. */
export interface States {
  readonly isStopping: boolean;
  readonly tunnels: readonly Pick<TunnelSnapshot, "state" | "isAccepting">[];
}

/** Looks at everything there is. */
export interface StatusSource {
  /** @param mostConnections - How many connections of each tunnel to list at most. */
  snapshot(mostConnections: number): Snapshot;
  /** Of a snapshot what takes no look at connections. */
  states(): States;
}
