/**
 * Counters and recent failures of one tunnel, for the lifetime of the process. They survive reloads that replace the tunnel.
 */

import type { EndReason } from "../errors.js";
import type { ConnectionReport, ConnectionView } from "../tunnel/reports.js";
import { CONNECTION_BOUNDS, HANDSHAKE_BOUNDS, Histogram, type HistogramFigures } from "./histogram.js";
import type { ConnectionSnapshot, EndedCount, FailureSnapshot } from "./snapshot.js";

/** Failures to remember of unauthenticated clients, and as many others, so that a flood of the former cannot evict the latter. */
const MAX_FAILURES = 6;

/** Key names that get counters of their own, the empty one included; all others share `OTHER_KEYS`. */
const MAX_KEY_NAMES = 201;
const OTHER_KEYS = "(others)";

/** Characters to keep of a failure's message. */
const MAX_MESSAGE_CHARACTERS = 300;

/** All reasons. Each gets a counter at the start, since Prometheus cannot compute a rate for a series that begins at 1. */
const REASONS: Readonly<Record<EndReason, true>> = {
  closed: true,
  "connect-failed": true,
  "handshake-failed": true,
  "timed-out": true,
  "packet-rejected": true,
  truncated: true,
  reset: true,
  cancelled: true,
  "crowded-out": true,
  failed: true,
};

/** The statistics of one tunnel. */
export class TunnelStatistics {
  /** By reason, then by key name. */
  readonly #ended = new Map<EndReason, Map<string, number>>();
  readonly #keyNames = new Set([""]);
  readonly #handshakes = new Histogram(HANDSHAKE_BOUNDS);
  readonly #connections = new Histogram(CONNECTION_BOUNDS);
  readonly #now: () => number;
  #failuresOfStrangers: readonly FailureSnapshot[] = [];
  #otherFailures: readonly FailureSnapshot[] = [];
  #bytesForward = 0;
  #bytesReverse = 0;
  #accepted = 0;
  #lookupFailures = 0;

  /** @param now - The time of day, in milliseconds since 1970. */
  constructor(now: () => number = Date.now) {
    this.#now = now;
    for (const reason of Object.keys(REASONS) as EndReason[]) this.#ended.set(reason, new Map([["", 0]]));
  }

  addAccepted(): void {
    this.#accepted += 1;
  }

  /** A handshake succeeded. */
  addHandshake(handshakeMs: number): void {
    this.#handshakes.add(handshakeMs / 1_000);
  }

  addLookupFailure(): void {
    this.#lookupFailures += 1;
  }

  /** A connection ended; it must no longer be among the open ones. */
  addEnded(report: ConnectionReport): void {
    const { reason, phase, keyName = "", bytesForward, bytesReverse, handshakeMs, durationMs } = report;
    const byKey = this.#ended.get(reason);
    const label = this.#labelOf(keyName);
    byKey?.set(label, (byKey.get(label) ?? 0) + 1);
    this.#bytesForward += bytesForward;
    this.#bytesReverse += bytesReverse;
    if (handshakeMs !== undefined) {
      this.#connections.add(durationMs / 1_000);
      // The connection was never established, for example because the target is down, so its handshake is not counted yet.
      if (phase !== "piping") this.addHandshake(handshakeMs);
    }
    if (reason !== "closed") this.#keepFailure(report);
  }

  /** Limits the number of series: keys can be renamed without end, but a series lasts as long as the process. */
  #labelOf(keyName: string): string {
    if (this.#keyNames.size < MAX_KEY_NAMES) this.#keyNames.add(keyName);
    return this.#keyNames.has(keyName) ? keyName : OTHER_KEYS;
  }

  #keepFailure({ reason, error, phase, source, keyName = "" }: ConnectionReport): void {
    const message = (error?.message ?? "").slice(0, MAX_MESSAGE_CHARACTERS);
    const failure = { atMs: this.#now(), peer: source, key: keyName, reason, message };
    const keep = (kept: readonly FailureSnapshot[]) => [failure, ...kept.slice(0, MAX_FAILURES - 1)];
    if (phase === "handshaking") this.#failuresOfStrangers = keep(this.#failuresOfStrangers);
    else this.#otherFailures = keep(this.#otherFailures);
  }

  get accepted(): number {
    return this.#accepted;
  }

  get lookupFailures(): number {
    return this.#lookupFailures;
  }

  get handshakes(): HistogramFigures {
    return this.#handshakes.figures;
  }

  get connections(): HistogramFigures {
    return this.#connections.figures;
  }

  get ended(): readonly EndedCount[] {
    return [...this.#ended].flatMap(([reason, byKey]) => [...byKey].map(([key, count]) => ({ reason, key, count })));
  }

  /** Newest first. */
  get failures(): readonly FailureSnapshot[] {
    return [...this.#failuresOfStrangers, ...this.#otherFailures].sort((one, other) => other.atMs - one.atMs);
  }

  /** Bytes of ended connections plus those of open ones. */
  bytesWith(open: OpenFigures): { readonly bytesForward: number; readonly bytesReverse: number } {
    return {
      bytesForward: this.#bytesForward + open.bytesForward,
      bytesReverse: this.#bytesReverse + open.bytesReverse,
    };
  }
}

/** Totals of the open connections. */
export interface OpenFigures {
  /** Unauthenticated clients of a decrypting end. */
  readonly strangers: number;
  /** All others. */
  readonly open: number;
  readonly bytesForward: number;
  readonly bytesReverse: number;
  /** The connections that have transferred most, at most as many as were requested. */
  readonly busiest: readonly ConnectionSnapshot[];
}

/** Computes totals, and the busiest connections, in one pass. */
export function figuresOf(
  connections: Iterable<ConnectionView>,
  role: "encrypt" | "decrypt",
  mostConnections: number,
): OpenFigures {
  const busiest: ConnectionSnapshot[] = [];
  let [open, strangers, allForward, allReverse] = [0, 0, 0, 0];
  for (const connection of connections) {
    // With thousands of connections, every getter costs.
    const { phase, bytesForward, bytesReverse } = connection;
    if (role === "decrypt" && phase === "handshaking") strangers += 1;
    else open += 1;
    allForward += bytesForward;
    allReverse += bytesReverse;
    if (mostConnections === 0) continue;
    const last = busiest.at(-1);
    const moved = bytesForward + bytesReverse;
    if (busiest.length >= mostConnections && last !== undefined && movedBy(last) >= moved) continue;
    if (busiest.length >= mostConnections) busiest.pop();
    const index = busiest.findIndex((other) => movedBy(other) < moved);
    const { id, source, keyName = "", ageMs, handshakeMs } = connection;
    const one = { id, peer: source, key: keyName, phase, ageMs, bytesForward, bytesReverse, handshakeMs };
    busiest.splice(index === -1 ? busiest.length : index, 0, one);
  }
  return { strangers, open, bytesForward: allForward, bytesReverse: allReverse, busiest };
}

function movedBy({ bytesForward, bytesReverse }: ConnectionSnapshot): number {
  return bytesForward + bytesReverse;
}
