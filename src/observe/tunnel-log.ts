/**
 * Tells in log lines what a tunnel reports.
 */

import { type Clock, systemClock } from "../clock.js";
import { type EndReason, isFaultOfOurs, type SpipedError, stackOf } from "../errors.js";
import { formatAddress } from "../net/address.js";
import type { TunnelEmitter } from "../tunnel/events.js";
import type { ConnectionReport } from "../tunnel/reports.js";
import { type Failure, Failures } from "./failures.js";
import type { Log } from "./log.js";

/** A limit that is reached again and again is said once in this time. */
const REPEAT_MS = 60_000;

/** Writes log lines about a tunnel. */
export function logTunnel(log: Log, events: TunnelEmitter, clock: Clock = systemClock): void {
  const seldom = seldomLog(log, clock);
  const failures = new Failures((line) => log.warning(line), clock);
  events
    .on("ended", (report) => {
      const failure = failureOf(report);
      if (failure !== undefined) failures.add(failure);
    })
    .on("drained", () => failures.flush())
    .on("limitReached", (maxConnections) => {
      // On Windows nobody can wait while the server does not listen.
      const fate = process.platform === "win32" ? "are refused" : "wait";
      seldom(`${counted(maxConnections)} open, as many as -n allows; further clients ${fate}`);
    })
    .on("descriptorsUsedUp", (connections) => {
      seldom(
        `${counted(connections)} open, and this process may open no more files; further clients wait ` +
          "(raise the limit, LimitNOFILE= of a unit or ulimit -n)",
      );
    })
    .on("listenFailed", (error) => log.error(error))
    .on("lookUpFailed", (error) => log.warning(`${error.message}; the old addresses stay`))
    .on("addressesChanged", (name, addresses) => {
      log.notice(`${name} is now ${addresses.map(formatAddress).join(", ")}`);
    });
}

const WORDS: Readonly<Record<EndReason, string>> = {
  closed: "closed",
  "connect-failed": "connect failed",
  "handshake-failed": "handshake failed",
  "timed-out": "timed out",
  "packet-rejected": "packet rejected",
  truncated: "truncated",
  reset: "reset",
  cancelled: "cancelled",
  "crowded-out": "crowded out",
  failed: "failed",
};

/** The line about a connection that did not end in an orderly way; undefined where there is nothing to say. */
export function describeEnd(report: ConnectionReport): string | undefined {
  if (report.reason === "closed") return undefined;
  const { source, reason, error, bytesForward, bytesReverse, durationMs } = report;
  const why = error === undefined ? "" : `: ${error.message}`;
  const carried = report.phase === "piping" ? `${bytesForward} bytes forward, ${bytesReverse} back, ` : "";
  return `connection from ${source}: ${WORDS[reason]}${why} (${carried}${(durationMs / 1_000).toFixed(3)} s)`;
}

function failureOf(report: ConnectionReport): Failure | undefined {
  const text = describeEnd(report);
  if (text === undefined) return undefined;
  const { reason, error, phase, source } = report;
  const isOurs = error !== undefined && isFaultOfOurs(error);
  return {
    // The phase tells strangers from friends.
    kind: `${phase} ${reason} ${error?.code ?? ""}`,
    name: WORDS[reason],
    example: error?.message,
    from: withoutPort(source),
    lines: isOurs ? [text, ...faultLines(error)] : [text],
  };
}

/** Lines that begin with a blank belong to the one before. */
function faultLines(error: SpipedError): readonly string[] {
  const hint = error.hint === undefined ? [] : [`  hint: ${error.hint}`];
  return [...stackOf(error).map((line) => `  ${line}`), ...hint];
}

/** What several connections of one client have in common: the address, or the user of a UNIX socket. */
function withoutPort(source: string): string {
  return /^(?:\[[^\]]*\](?=:)|uid \d+)/.exec(source)?.[0] ?? source;
}

function counted(connections: number): string {
  return connections === 1 ? "1 connection is" : `${connections} connections are`;
}

function seldomLog(log: Log, clock: Clock): (text: string) => void {
  let saidAt = Number.NEGATIVE_INFINITY;
  return (text) => {
    const now = clock.now();
    if (now - saidAt < REPEAT_MS) return;
    saidAt = now;
    log.warning(text);
  };
}
