/**
 * The structure of a log message: event, level, text for people, and named facts for programs. `docs/log.md` lists the
 * events and the keys.
 */

import type { EndReason, ErrorCode } from "../errors.js";
import type { Recognized } from "../tunnel/recognition.js";
import type { ConnectionReport } from "../tunnel/reports.js";

/** Most severe first. */
export const LEVELS = ["error", "warning", "info", "debug"] as const;

/** The severity of a message, and the threshold of a log. */
export type Level = (typeof LEVELS)[number];

/** Every event; `docs/log.md` describes them. */
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
  "not-started",
  "connection-accepted",
  "connection-established",
  "connection-ended",
  "connections-summed",
  "limit-reached",
  "descriptors-used-up",
  "listen-failed",
  "lookup-failed",
  "lookup-recovered",
  "addresses-changed",
  "talks-to-itself",
  "state",
  "state-reload",
  "state-tunnel",
  "state-connection",
  "state-connections",
  "state-failure",
  "lines-lost",
] as const;

/** One of {@link EVENTS}. */
export type EventName = (typeof EVENTS)[number];

/** The facts that a message can carry. */
export interface Facts {
  readonly tunnel: string;
  readonly connection: number;
  readonly peer: string;
  readonly key: string;
  readonly phase: ConnectionReport["phase"];
  readonly reason: EndReason;
  readonly code: ErrorCode;
  readonly recognized: Recognized;
  readonly bytesForward: number;
  readonly bytesReverse: number;
  readonly durationMs: number;
  readonly handshakeMs: number;
  readonly ageMs: number;
  /** The number of connections or failures. */
  readonly count: number;
  readonly limit: number;
  /** Clients that have not authenticated yet. */
  readonly strangers: number;
  /** The number of distinct client addresses. */
  readonly addresses: number;
  /** Set if there were more addresses than `addresses`, which is then the most that are tracked. */
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
  /** Why a tunnel does not listen yet. */
  readonly problem: string;
  /** What `spiped key-id` prints. */
  readonly keyId: string;
  readonly keyFile: string;
  readonly keys: number;
  readonly keysAdded: readonly string[];
  readonly keysRemoved: readonly string[];
  readonly keysRenamed: readonly string[];
  readonly configFile: string;
  /** A line number, from 1. */
  readonly line: number;
  readonly version: string;
  readonly uptimeMs: number;
  readonly tunnels: number;
}

/** The facts of one message; those that are undefined are left out. */
export type SomeFacts = Partial<{ readonly [Name in keyof Facts]: Facts[Name] | undefined }>;

/** One log message. */
export interface LogEntry extends SomeFacts {
  readonly event: EventName;
  readonly level: Level;
  /** One line, except for lists of errors: {@link textLines} in `format.ts`. */
  readonly message: string;
  /** What to do about it. */
  readonly hint?: string | undefined;
  /** The stack trace, if this is a bug in spiped. */
  readonly stack?: readonly string[] | undefined;
  /** An operator asked for it with a signal, so it is written at every log level. */
  readonly isAnswer?: true;
}

/** The JSON keys of the facts, in output order. In JSON, durations are in seconds. */
export const KEYS: { readonly [Name in keyof Facts]: string } = {
  tunnel: "tunnel",
  connection: "connection",
  peer: "peer",
  key: "key",
  phase: "phase",
  reason: "reason",
  code: "code",
  recognized: "recognized",
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
  problem: "problem",
  keyId: "key_id",
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
