/**
 * The state of a service as entries of the log, for whoever asks by a signal: of the process, of each tunnel, of its oldest
 * connections, and of its last failures. However many connections there are, few lines are about them.
 */

import type { ConnectionView } from "../tunnel/reports.js";
import { openEntry } from "./connection-entries.js";
import { counted } from "./counted.js";
import type { LogEntry } from "./entry.js";
import type { RecentFailure } from "./tunnel-log.js";

/** So many connections of a tunnel are written out. */
const WRITTEN_OUT = 20;

/** A tunnel at this moment. */
export interface TunnelState {
  /** Undefined where it is the only one, and has none. */
  readonly name: string | undefined;
  /** What it is doing, `listening` say. */
  readonly state: string;
  readonly role: "encrypt" | "decrypt";
  readonly source: string;
  readonly target: string;
  /** How many connections are open, without strangers. */
  readonly connections: number;
  /** Clients of a decrypting end that have not shown that they have a key; they take none of the places. */
  readonly strangers: number;
  /** `Infinity` where there is no limit. */
  readonly limit: number;
  /** Both, oldest first. */
  readonly open: Iterable<ConnectionView>;
  readonly failures: readonly RecentFailure[];
}

/** A service at this moment. */
export interface ServiceState {
  readonly signal: string;
  readonly version: string;
  readonly uptimeMs: number;
  readonly tunnels: readonly TunnelState[];
}

/**
 * All entries about it.
 *
 * @param now - By the clock of the failures.
 */
export function* stateEntries({ signal, version, uptimeMs, tunnels }: ServiceState, now: number): Generator<LogEntry> {
  const count = tunnels.reduce((sum, { connections }) => sum + connections, 0);
  const of = counted(tunnels.length, "tunnel");
  yield {
    event: "state",
    level: "info",
    isAnswer: true,
    message: `${signal}: ${counted(count, "open connection")}; spiped ${version}, ${of}, up ${timeWords(uptimeMs)}`,
    signal,
    version,
    uptimeMs,
    tunnels: tunnels.length,
    count,
  };
  for (const tunnel of tunnels) yield* tunnelEntries(tunnel, now);
}

function* tunnelEntries(tunnel: TunnelState, now: number): Generator<LogEntry> {
  const { name, state, role, source, target, connections, strangers, limit, open, failures } = tunnel;
  const verb = role === "encrypt" ? "encrypting" : "decrypting";
  const isLimited = Number.isFinite(limit);
  yield {
    event: "state-tunnel",
    level: "info",
    isAnswer: true,
    message:
      `${source}, ${verb} to ${target}: ${state}, ${connections} ${isLimited ? `of ${limit} ` : ""}connections open` +
      (strangers === 0 ? "" : `, ${counted(strangers, "unauthenticated client")}`),
    tunnel: name,
    state,
    role,
    source,
    target,
    count: connections,
    limit: isLimited ? limit : undefined,
    strangers,
  };
  let [written, count, bytesForward, bytesReverse] = [0, 0, 0, 0];
  for (const view of open) {
    if (isStranger(role, view)) continue;
    if (written < WRITTEN_OUT) {
      written += 1;
      yield { tunnel: name, ...openEntry(view) };
    } else {
      count += 1;
      bytesForward += view.bytesForward;
      bytesReverse += view.bytesReverse;
    }
  }
  if (count > 0) yield { tunnel: name, ...restEntry(count, bytesForward, bytesReverse) };
  for (const { at, entry } of failures) yield { tunnel: name, ...failureEntry(entry, now - at) };
}

/** Whether a client has not shown that it has a key. */
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
  const message = `${timeWords(ageMs)} ago: ${ended.message}`;
  return { ...ended, event: "state-failure", level: "info", isAnswer: true, message, ageMs, stack: undefined };
}

/** A time in its two largest units. */
function timeWords(milliseconds: number): string {
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
