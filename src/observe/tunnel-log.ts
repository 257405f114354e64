/**
 * Logs the events of a tunnel.
 */

import { type Clock, systemClock } from "../clock.js";
import { formatAddress } from "../net/address.js";
import { hasDescriptors } from "../platform.js";
import type { TunnelEmitter } from "../tunnel/events.js";
import type { ConnectionReport } from "../tunnel/reports.js";
import { acceptedEntry, endedEntry, establishedEntry, levelOfEnd, summedEntry } from "./connection-entries.js";
import { counted } from "./counted.js";
import type { LogEntry } from "./entry.js";
import { FailureSummaries } from "./failure-summaries.js";
import { errorEntry, type Log } from "./log.js";

/** The least time between two messages about the same limit, or the same error of the listening socket. */
const REPEAT_MS = 60_000;

/** Failures to remember for SIGUSR1: this many of unauthenticated clients, and as many others. */
const MAX_RECENT = 10;

/**
 * A connection that failed a while ago. It has the log message and not the error: an error whose stack has not been
 * formatted yet keeps everything on that stack alive, the connection and its keys included.
 */
export interface RecentFailure {
  /** When, on the clock of `logTunnel`. */
  readonly at: number;
  readonly entry: LogEntry;
}

/**
 * Logs the events of a tunnel.
 *
 * @returns The last failures, oldest first; a live list.
 */
export function logTunnel(log: Log, events: TunnelEmitter, clock: Clock = systemClock): readonly RecentFailure[] {
  const recent: RecentFailure[] = [];
  const logOnce = rateLimited(log, clock);
  const failures = new FailureSummaries((sum) => log.write(summedEntry(sum)), clock);
  // Below this level, healthy connections cost nothing.
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
      const isStranger = entry.phase === "handshaking";
      const alike = recent.filter((one) => (one.entry.phase === "handshaking") === isStranger);
      const [oldest] = alike;
      if (oldest !== undefined && alike.length > MAX_RECENT) recent.splice(recent.indexOf(oldest), 1);
      if (isWritten) failures.add(failureOf(report, entry, log));
    })
    .on("drained", () => failures.flush())
    .on("limitReached", (limit) => logOnce("limit", limitEntry(limit)))
    .on("descriptorsUsedUp", (connections) => logOnce("limit", descriptorsEntry(connections)))
    .on("listenFailed", (error) => logOnce(error.message, errorEntry(error, "listen-failed")))
    .on("lookupFailed", ({ code, message }) => {
      log.write({ event: "lookup-failed", level: "warning", message: `${message}; keeping the old addresses`, code });
    })
    .on("lookupRecovered", (target) => {
      log.write({ event: "lookup-recovered", level: "info", message: `target ${target} resolves again`, target });
    })
    .on("addressesChanged", (target, addresses) => {
      const targetAddresses = addresses.map(formatAddress);
      const message = `target ${target} now resolves to ${targetAddresses.join(", ")}`;
      log.write({ event: "addresses-changed", level: "info", message, target, targetAddresses });
    });
  return recent;
}

function failureOf(report: ConnectionReport, entry: LogEntry, log: Log) {
  const { phase, reason, error, recognized, source, keyName } = report;
  return {
    // The phase separates unauthenticated clients from others, and the key separates those from each other.
    facts: { key: keyName, phase, reason, code: error?.code, recognized: recognized?.kind },
    example: error?.message,
    from: withoutPort(source),
    write: () => log.write(entry),
  };
}

/** What identifies a client across connections: its address, or its user on a UNIX socket. */
function withoutPort(source: string): string {
  return /^(?:\[[^\]]*\](?=:)|uid \d+)/.exec(source)?.[0] ?? source;
}

function limitEntry(limit: number): LogEntry {
  // On Windows the server has to stop listening, so clients cannot wait.
  const fate = hasDescriptors() ? "wait" : "are refused";
  const message = `connection limit reached (-n ${limit}), new clients ${fate}`;
  const hint = "raise -n, or check that -t does not lead back to -s, directly or through other tunnels";
  return { event: "limit-reached", level: "warning", message, hint, count: limit, limit };
}

function descriptorsEntry(count: number): LogEntry {
  const message = `out of file descriptors with ${counted(count, "open connection")}, new clients wait`;
  const hint = "raise the limit with LimitNOFILE= in the unit, or with ulimit -n";
  return { event: "descriptors-used-up", level: "warning", message, hint, count };
}

/** Logs a message, unless one about the same subject was logged within {@link REPEAT_MS}. */
function rateLimited(log: Log, clock: Clock): (about: string, entry: LogEntry) => void {
  const loggedAt = new Map<string, number>();
  return (about, entry) => {
    const now = clock.now();
    for (const [other, at] of loggedAt) if (now - at >= REPEAT_MS) loggedAt.delete(other);
    if (loggedAt.has(about)) return;
    loggedAt.set(about, now);
    log.write(entry);
  };
}
