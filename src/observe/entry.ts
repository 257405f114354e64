/**
 * One entry of the log: what happened, how bad it is, and the facts, each under a name of its own. What people read of it
 * is its message; what programs read are the facts. `docs/log.md` lists the events and the keys.
 */

import type { EndReason, ErrorCode } from "../errors.js";
import type { Recognised } from "../tunnel/recognition.js";
import type { ConnectionReport } from "../tunnel/reports.js";

/** How bad it is: the worst first. */
export const LEVELS = ["error", "warning", "info", "debug"] as const;

/** How bad an entry is, and up to where a log writes. */
export type Level = (typeof LEVELS)[number];

/** All that can happen. */
export const EVENTS = [
  "note",
  "error",
  "listening",
  "draining",
  "stopped",
  "key-read",
  "key-kept",
  "config-read",
  "config-mistake",
  "config-kept",
  "old-connections-cut",
  "restart-needed",
  "connection-accepted",
  "connection-established",
  "connection-ended",
  "connections-summed",
  "limit-reached",
  "descriptors-used-up",
  "listen-failed",
  "look-up-failed",
  "addresses-changed",
  "talks-to-itself",
  "state",
  "state-tunnel",
  "state-connection",
  "state-connections",
  "state-failure",
  "lines-lost",
] as const;

/** What happened. */
export type EventName = (typeof EVENTS)[number];

/** Facts of an entry; one that is undefined is left out. */
export interface Facts {
  readonly tunnel: string;
  readonly connection: number;
  readonly peer: string;
  readonly key: string;
  readonly phase: ConnectionReport["phase"];
  readonly reason: EndReason;
  readonly code: ErrorCode;
  readonly recognised: Recognised;
  readonly bytesForward: number;
  readonly bytesReverse: number;
  readonly durationMs: number;
  readonly handshakeMs: number;
  readonly ageMs: number;
  /** How many connections, or failures, it is about. */
  readonly count: number;
  readonly limit: number;
  /** Clients that have not shown that they have a key. */
  readonly strangers: number;
  /** From how many addresses. */
  readonly addresses: number;
  /** True where there were more addresses than are told apart. */
  readonly moreAddresses: true;
  readonly mostFrom: string;
  readonly mostCount: number;
  readonly spanMs: number;
  readonly signal: string;
  readonly role: "encrypt" | "decrypt";
  readonly state: string;
  readonly source: string;
  readonly target: string;
  readonly targetAddresses: readonly string[];
  readonly keyFile: string;
  readonly keys: number;
  readonly keysAdded: readonly string[];
  readonly keysRemoved: readonly string[];
  readonly keysRenamed: readonly string[];
  readonly configFile: string;
  /** Of a file, from 1 on. */
  readonly line: number;
  readonly version: string;
  readonly uptimeMs: number;
  readonly tunnels: number;
}

/** Those that an entry has. */
export type SomeFacts = Partial<{ readonly [Name in keyof Facts]: Facts[Name] | undefined }>;

/** One entry. */
export interface LogEntry extends SomeFacts {
  readonly event: EventName;
  readonly level: Level;
  /** In words; one line, but for a list whose further lines begin with a blank. */
  readonly message: string;
  /** What to do about it. */
  readonly hint?: string | undefined;
  /** Where in this program a mistake of ours was made. */
  readonly stack?: readonly string[] | undefined;
  /** Somebody has asked for it: it is written whatever the log's level is. */
  readonly isAnswer?: true;
}

/** The names of facts in JSON, in their order. Times are in seconds there. */
export const KEYS: { readonly [Name in keyof Facts]: string } = {
  tunnel: "tunnel",
  connection: "connection",
  peer: "peer",
  key: "key",
  phase: "phase",
  reason: "reason",
  code: "code",
  recognised: "recognised",
  bytesForward: "bytes_forward",
  bytesReverse: "bytes_reverse",
  durationMs: "duration_s",
  handshakeMs: "handshake_s",
  ageMs: "age_s",
  count: "count",
  limit: "limit",
  strangers: "strangers",
  addresses: "addresses",
  moreAddresses: "more_addresses",
  mostFrom: "most_from",
  mostCount: "most_count",
  spanMs: "span_s",
  signal: "signal",
  role: "role",
  state: "state",
  source: "source",
  target: "target",
  targetAddresses: "target_addresses",
  keyFile: "key_file",
  keys: "keys",
  keysAdded: "keys_added",
  keysRemoved: "keys_removed",
  keysRenamed: "keys_renamed",
  configFile: "config_file",
  line: "line",
  version: "version",
  uptimeMs: "uptime_s",
  tunnels: "tunnels",
};
