/**
 * Writes into the log what a tunnel reports.
 */

import { type Clock, systemClock } from "../clock.js";
import { formatAddress } from "../net/address.js";
import { hasDescriptors } from "../platform.js";
import type { TunnelEmitter } from "../tunnel/events.js";
import type { ConnectionReport } from "../tunnel/reports.js";
import { acceptedEntry, endedEntry, establishedEntry, levelOfEnd, summedEntry } from "./connection-entries.js";
import { counted } from "./counted.js";
import type { LogEntry } from "./entry.js";
import { Failures } from "./failures.js";
import { errorEntry, type Log } from "./log.js";

/** A limit that is reached again and again, and a system that refuses each second, are said once in this time. */
const REPEAT_MS = 60_000;

/** Failures that are kept for whoever asks: of strangers, and as many of everybody else. */
const MOST_RECENT = 10;

/**
 * A connection that failed a while ago. What was said of it, and not the error itself: until somebody asks for its stack,
 * that holds on to all that stood on it, the connection and its keys among them.
 */
export interface RecentFailure {
  /** By the clock. */
  readonly at: number;
  readonly entry: LogEntry;
}

/**
 * Writes entries about a tunnel.
 *
 * @returns The last failures, oldest first; it goes on changing.
 */
export function logTunnel(log: Log, events: TunnelEmitter, clock: Clock = systemClock): readonly RecentFailure[] {
  const recent: RecentFailure[] = [];
  const logOnce = rateLimited(log, clock);
  const failures = new Failures((sum) => log.write(summedEntry(sum)), clock);
  // A good connection costs nothing where nobody wants to read of it.
  if (log.writes("debug")) {
    events
      .on("accepted", (connection) => log.write(acceptedEntry(connection)))
      .on("established", (connection) => log.write(establishedEntry(connection)));
  }
  events
    .on("ended", (report) => {
      const isWritten = log.writes(levelOfEnd(report));
      if (report.reason === "closed") {
        if (isWritten) log.write(endedEntry(report));
        return;
      }
      const entry = endedEntry(report);
      recent.push({ at: clock.now(), entry });
      const isOfStranger = entry.phase === "handshaking";
      const alike = recent.filter((one) => (one.entry.phase === "handshaking") === isOfStranger);
      const [oldest] = alike;
      if (oldest !== undefined && alike.length > MOST_RECENT) recent.splice(recent.indexOf(oldest), 1);
      if (isWritten) failures.add(failureOf(report, entry, log));
    })
    .on("drained", () => failures.flush())
    .on("limitReached", (limit) => logOnce("limit", limitEntry(limit)))
    .on("descriptorsUsedUp", (connections) => logOnce("limit", descriptorsEntry(connections)))
    .on("listenFailed", (error) => logOnce(error.message, errorEntry(error, "listen-failed")))
    .on("lookupFailed", ({ code, message }) => {
      log.write({ event: "look-up-failed", level: "warning", message: `${message}; keeping the old addresses`, code });
    })
    .on("addressesChanged", (target, addresses) => {
      const targetAddresses = addresses.map(formatAddress);
      const message = `target ${target} now resolves to ${targetAddresses.join(", ")}`;
      log.write({ event: "addresses-changed", level: "info", message, target, targetAddresses });
    });
  return recent;
}

function failureOf(report: ConnectionReport, entry: LogEntry, log: Log) {
  const { phase, reason, error, recognised, source, keyName } = report;
  return {
    // The phase tells strangers from friends, and the key one friend from another.
    facts: { key: keyName, phase, reason, code: error?.code, recognised: recognised?.kind },
    example: error?.message,
    from: withoutPort(source),
    write: () => log.write(entry),
  };
}

/** What several connections of one client have in common: the address, or the user of a UNIX socket. */
function withoutPort(source: string): string {
  return /^(?:\[[^\]]*\](?=:)|uid \d+)/.exec(source)?.[0] ?? source;
}

function limitEntry(limit: number): LogEntry {
  // On Windows nobody can wait while the server does not listen.
  const fate = hasDescriptors() ? "wait" : "are refused";
  const message = `connection limit reached (-n ${limit}), new clients ${fate}`;
  return { event: "limit-reached", level: "warning", message, count: limit, limit };
}

function descriptorsEntry(count: number): LogEntry {
  const message = `out of file descriptors with ${counted(count, "open connection")}, new clients wait`;
  const hint = "raise the limit with LimitNOFILE= in the unit, or with ulimit -n";
  return { event: "descriptors-used-up", level: "warning", message, hint, count };
}

/** Writes an entry, unless one about the same has been written a short while ago. */
function rateLimited(log: Log, clock: Clock): (about: string, entry: LogEntry) => void {
  const saidAt = new Map<string, number>();
  return (about, entry) => {
    const now = clock.now();
    for (const [other, at] of saidAt) if (now - at >= REPEAT_MS) saidAt.delete(other);
    if (saidAt.has(about)) return;
    saidAt.set(about, now);
    log.write(entry);
  };
}
