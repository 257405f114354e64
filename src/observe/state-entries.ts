/**
 * The log messages that answer SIGUSR1 and SIGUSR2: the state of the process and of each tunnel, with its oldest connections
 * and its last failures. Their number is bounded, however many connections are open.
 */

import type { ConnectionView } from "../tunnel/reports.js";
import { openEntry } from "./connection-entries.js";
import { counted } from "./counted.js";
import type { LogEntry } from "./entry.js";
import type { RecentFailure } from "./tunnel-log.js";

/** Connections of one tunnel that are listed; the rest are summed up. */
const MAX_LISTED = 20;

/** The current state of a tunnel. */
export interface TunnelState {
  /** Undefined without a configuration file. */
  readonly name: string | undefined;
  /** For example `listening`. */
  readonly state: string;
  readonly role: "encrypt" | "decrypt";
  readonly source: string;
  readonly target: string;
  /** Why it does not listen yet; undefined if nothing has failed. */
  readonly problem?: string | undefined;
  /** The id of its key; undefined if it has a key for each client, or none yet. */
  readonly keyId?: string | undefined;
  /** Open connections, without `strangers`. */
  readonly connections: number;
  /** Unauthenticated clients of a decrypting end; they do not count toward `limit`. */
  readonly strangers: number;
  /** `Infinity` for no limit. */
  readonly limit: number;
  /** All connections, with strangers, oldest first. */
  readonly open: Iterable<ConnectionView>;
  /** Oldest first; they are listed newest first. */
  readonly failures: readonly RecentFailure[];
}

/** The current state of a service. */
export interface ServiceState {
  readonly signal: string;
  readonly version: string;
  readonly uptimeMs: number;
  readonly lastReload?: ReloadState;
  readonly tunnels: readonly TunnelState[];
}

/** How the last reload went. */
export interface ReloadState {
  /** Undefined if there was none since the start. */
  readonly ageMs: number | undefined;
  /** Since all that was read was in use; the start counts. */
  readonly lastSuccessAgeMs: number;
  /** Why something is not in use; a tunnel's name is in `tunnel` if it `isNamed`. */
  readonly failures: ReadonlyArray<{
    /** `settings`: they need a restart, and the reload has not failed for that. */
    readonly what: "configuration" | "settings" | "keys";
    readonly tunnel: string | undefined;
    readonly isNamed: boolean;
    readonly problem: string;
  }>;
}

/**
 * The messages about a service.
 *
 * @param now - The current time on the clock that timed the failures.
 */
export function* stateEntries(
  { signal, version, uptimeMs, lastReload, tunnels }: ServiceState,
  now: number,
): Generator<LogEntry> {
  const count = tunnels.reduce((sum, { connections }) => sum + connections, 0);
  const of = counted(tunnels.length, "tunnel");
  yield {
    event: "state",
    level: "info",
    isAnswer: true,
    message: `${signal}: ${counted(count, "open connection")}; spiped ${version}, ${of}, up ${durationText(uptimeMs)}`,
    signal,
    version,
    uptimeMs,
    tunnels: tunnels.length,
    count,
  };
  const waiting = tunnels.filter(({ state }) => state === "starting").length;
  if (lastReload !== undefined) yield* reloadEntries(lastReload, waiting);
  for (const tunnel of tunnels) yield* tunnelEntries(tunnel, now);
}

/** At most {@link MAX_LISTED} failures. @param waiting - How many tunnels do not listen yet. */
function* reloadEntries({ ageMs, lastSuccessAgeMs, failures }: ReloadState, waiting: number): Generator<LogEntry> {
  if (ageMs === undefined) return;
  const entry = { event: "state-reload", level: "info", isAnswer: true, ageMs, count: failures.length } as const;
  const ago = `${durationText(ageMs)} ago`;
  const result =
    waiting === 0 ? "all of it is in use" : `read without an error; ${counted(waiting, "tunnel")} not listening yet`;
  if (failures.length === 0) yield { ...entry, message: `last reload ${ago}: ${result}` };
  for (const { what, tunnel, isNamed, problem } of failures.slice(0, MAX_LISTED)) {
    const message =
      what === "settings"
        ? `last reload ${ago} is only partly in use: ${problem}`
        : `last reload ${ago} failed: ${problem}; last load without an error ${durationText(lastSuccessAgeMs)} ago`;
    yield { ...(isNamed ? { tunnel } : {}), ...entry, message };
  }
}

function* tunnelEntries(tunnel: TunnelState, now: number): Generator<LogEntry> {
  const { name, state, role, source, target, problem, keyId, connections, strangers, limit, open, failures } = tunnel;
  const verb = role === "encrypt" ? "encrypting" : "decrypting";
  const isLimited = Number.isFinite(limit);
  yield {
    event: "state-tunnel",
    level: "info",
    isAnswer: true,
    message:
      `${source}, ${verb} to ${target}: ${state}, ${connections} ${isLimited ? `of ${limit} ` : ""}connections open` +
      (strangers === 0 ? "" : `, ${counted(strangers, "unauthenticated client")}`) +
      (keyId === undefined ? "" : `, key id ${keyId}`) +
      (problem === undefined ? "" : `; ${problem}`),
    tunnel: name,
    state,
    role,
    source,
    target,
    problem,
    keyId,
    count: connections,
    limit: isLimited ? limit : undefined,
    strangers,
  };
  let [written, count, bytesForward, bytesReverse] = [0, 0, 0, 0];
  for (const view of open) {
    if (isStranger(role, view)) continue;
    if (written < MAX_LISTED) {
      written += 1;
      yield { tunnel: name, ...openEntry(view) };
    } else {
      count += 1;
      bytesForward += view.bytesForward;
      bytesReverse += view.bytesReverse;
    }
  }
  if (count > 0) yield { tunnel: name, ...restEntry(count, bytesForward, bytesReverse) };
  for (const { at, entry } of failures.toReversed()) yield { tunnel: name, ...failureEntry(entry, now - at) };
}

/** Whether a client has not authenticated yet. */
export function isStranger(role: TunnelState["role"], { phase }: Pick<ConnectionView, "phase">): boolean {
  return role === "decrypt" && phase === "handshaking";
}

function restEntry(count: number, bytesForward: number, bytesReverse: number): LogEntry {
  return {
    event: "state-connections",
    level: "info",
    isAnswer: true,
    message: `${counted(count, "newer connection")} (${bytesForward} bytes forward, ${bytesReverse} back)`,
    count,
    bytesForward,
    bytesReverse,
  };
}

function failureEntry(ended: LogEntry, ageMs: number): LogEntry {
  const message = `${durationText(ageMs)} ago: ${ended.message}`;
  return { ...ended, event: "state-failure", level: "info", isAnswer: true, message, ageMs, stack: undefined };
}

/** A duration in its two largest units. */
function durationText(milliseconds: number): string {
  const seconds = Math.floor(milliseconds / 1_000);
  const parts = [
    [Math.floor(seconds / 86_400), "d"],
    [Math.floor(seconds / 3_600) % 24, "h"],
    [Math.floor(seconds / 60) % 60, "min"],
    [seconds % 60, "s"],
  ] as const;
  const first = parts.findIndex(([count]) => count > 0);
  if (first === -1) return "0 s";
  return parts
    .slice(first, first + 2)
    .map(([count, unit]) => `${count} ${unit}`)
    .join(" ");
}
