/**
 * What is counted of one tunnel for as long as the process runs. A reload may put another tunnel in its place: the
 * counters go on.
 */

import type { EndReason } from "../errors.js";
import type { ConnectionReport, ConnectionView } from "../tunnel/reports.js";
import { CONNECTION_BOUNDS, HANDSHAKE_BOUNDS, Histogram, type HistogramFigures } from "./histogram.js";
import type { ConnectionSnapshot, EndedCount, FailureSnapshot } from "./snapshot.js";

/** Failures that are remembered of strangers, and as many of everybody else: a crowd of the ones hides none of the others. */
const FAILURES_KEPT = 6;

/** Names of keys that have counters of their own, and what stands for all further ones. */
const MOST_KEY_NAMES = 201;
const OTHER_KEYS = "(others)";

/** Characters of a failure's message that are kept. */
const MOST_CHARACTERS = 300;

/** All reasons, so that each has its counter from the start: what jumps from nothing to 1 has no rate. */
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

/** See the head of this file. */
export class TunnelStatistics {
  /** By the reason, then by the key's name. */
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
  #lookUpFailures = 0;

  /** @param now - The time of day, in milliseconds since 1970. */
  constructor(now: () => number = Date.now) {
    this.#now = now;
    for (const reason of Object.keys(REASONS) as EndReason[]) this.#ended.set(reason, new Map([["", 0]]));
  }

  addAccepted(): void {
    this.#accepted += 1;
  }

  /** A handshake has been successful. */
  addHandshake(handshakeMs: number): void {
    this.#handshakes.add(handshakeMs / 1_000);
  }

  addLookUpFailure(): void {
    this.#lookUpFailures += 1;
  }

  /** A connection is no longer among the open ones. */
  addEnded(report: ConnectionReport): void {
    const { reason, phase, keyName = "", bytesForward, bytesReverse, handshakeMs, durationMs } = report;
    const byKey = this.#ended.get(reason);
    const label = this.#labelOf(keyName);
    byKey?.set(label, (byKey.get(label) ?? 0) + 1);
    this.#bytesForward += bytesForward;
    this.#bytesReverse += bytesReverse;
    if (handshakeMs !== undefined) {
      this.#connections.add(durationMs / 1_000);
      // The target could not be reached, say, and nobody has been told of the handshake.
      if (phase !== "piping") this.addHandshake(handshakeMs);
    }
    if (reason !== "closed") this.#keepFailure(report);
  }

  /** A series goes on for as long as the process runs, and names come and go. */
  #labelOf(keyName: string): string {
    if (this.#keyNames.size < MOST_KEY_NAMES) this.#keyNames.add(keyName);
    return this.#keyNames.has(keyName) ? keyName : OTHER_KEYS;
  }

  #keepFailure({ reason, error, phase, source, keyName = "" }: ConnectionReport): void {
    const message = (error?.message ?? "").slice(0, MOST_CHARACTERS);
    const failure = { atMs: this.#now(), peer: source, key: keyName, reason, message };
    const keep = (kept: readonly FailureSnapshot[]) => [failure, ...kept.slice(0, FAILURES_KEPT - 1)];
    if (phase === "handshaking") this.#failuresOfStrangers = keep(this.#failuresOfStrangers);
    else this.#otherFailures = keep(this.#otherFailures);
  }

  get accepted(): number {
    return this.#accepted;
  }

  get lookUpFailures(): number {
    return this.#lookUpFailures;
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

  /** The newest first. */
  get failures(): readonly FailureSnapshot[] {
    return [...this.#failuresOfStrangers, ...this.#otherFailures].sort((one, other) => other.atMs - one.atMs);
  }

  /** Bytes of connections that have ended and of those that are open. */
  bytesWith(open: OpenFigures): { readonly bytesForward: number; readonly bytesReverse: number } {
    return {
      bytesForward: this.#bytesForward + open.bytesForward,
      bytesReverse: this.#bytesReverse + open.bytesReverse,
    };
  }
}

/** What the open connections come to. */
export interface OpenFigures {
  /** Clients of a decrypting end that have not shown that they have a key. */
  readonly strangers: number;
  /** All others. */
  readonly open: number;
  readonly bytesForward: number;
  readonly bytesReverse: number;
  /** Those that moved most, at most as many as were asked for. */
  readonly busiest: readonly ConnectionSnapshot[];
}

/** Goes through all open connections once, however many there are. */
export function figuresOf(
  connections: Iterable<ConnectionView>,
  role: "encrypt" | "decrypt",
  mostConnections: number,
): OpenFigures {
  const busiest: ConnectionSnapshot[] = [];
  let [open, strangers, allForward, allReverse] = [0, 0, 0, 0];
  for (const connection of connections) {
    // With thousands of them, each thing that is asked costs.
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
    const place = busiest.findIndex((other) => movedBy(other) < moved);
    const { id, source, keyName = "", ageMs, handshakeMs } = connection;
    const one = { id, peer: source, key: keyName, phase, ageMs, bytesForward, bytesReverse, handshakeMs };
    busiest.splice(place === -1 ? busiest.length : place, 0, one);
  }
  return { strangers, open, bytesForward: allForward, bytesReverse: allReverse, busiest };
}

function movedBy({ bytesForward, bytesReverse }: ConnectionSnapshot): number {
  return bytesForward + bytesReverse;
}
