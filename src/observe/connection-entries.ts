/**
 * Connections as entries of the log: their start, their establishment, their end, and the sum of many ends.
 */

import { type EndReason, isFaultOfOurs, stackOf } from "../errors.js";
import type { ConnectionReport, ConnectionView } from "../tunnel/reports.js";
import { grouped } from "./counted.js";
import type { Level, LogEntry, SomeFacts } from "./entry.js";
import type { Sum } from "./failures.js";
import { recognitionHint } from "./recognition-words.js";

/** A client has connected. */
export function acceptedEntry(view: ConnectionView): LogEntry {
  const message = `connection from ${view.source}: accepted`;
  return { event: "connection-accepted", level: "debug", message, ...who(view) };
}

/** Data can flow. */
export function establishedEntry(view: ConnectionView): LogEntry {
  return {
    event: "connection-established",
    level: "debug",
    message: `connection from ${view.source}: established${parenthesis([...keyWords(view), ...handshakeWords(view)])}`,
    ...who(view),
    handshakeMs: view.handshakeMs,
  };
}

/** How bad an end is. */
export function levelOfEnd({ reason, error }: Pick<ConnectionReport, "reason" | "error">): Level {
  if (reason === "closed") return "debug";
  return error !== undefined && isFaultOfOurs(error) ? "error" : "warning";
}

/** The end of a connection; one in order is of interest to few. */
export function endedEntry(report: ConnectionReport): LogEntry {
  const { source, reason, error, durationMs, recognised } = report;
  const why = error === undefined ? "" : `: ${error.message}`;
  const facts = [...keyWords(report), ...amountWords(report), seconds(durationMs), ...handshakeWords(report)];
  return {
    event: "connection-ended",
    level: levelOfEnd(report),
    message: `connection from ${source}: ${wordsOf(reason)}${why}${parenthesis(facts)}`,
    hint: error?.hint ?? (recognised && recognitionHint(recognised)),
    ...who(report),
    reason,
    code: error?.code,
    recognised: recognised?.kind,
    ...amounts(report),
    durationMs,
    handshakeMs: report.handshakeMs,
    stack: error !== undefined && isFaultOfOurs(error) ? stackOf(error) : undefined,
  };
}

/** An open connection, for whoever asks. */
export function openEntry(view: ConnectionView): LogEntry {
  const { source, phase, ageMs } = view;
  const facts = [...keyWords(view), ...amountWords(view), seconds(ageMs), ...handshakeWords(view)];
  return {
    event: "state-connection",
    level: "info",
    isAnswer: true,
    message: `connection from ${source}: ${PHASES[phase]}${parenthesis(facts)}`,
    ...who(view),
    ...amounts(view),
    ageMs,
    handshakeMs: view.handshakeMs,
  };
}

/** Ends that were not written out, summed. */
export function summedEntry({ of, count, addresses, moreAddresses, mostFrom, mostCount, spanMs }: Sum): LogEntry {
  const { key, reason = "failed", phase, code, recognised } = of.facts;
  const from = moreAddresses
    ? `more than ${addresses} addresses`
    : addresses === 1
      ? mostFrom
      : `${addresses} addresses`;
  const mostTimes = moreAddresses ? "" : ` (${grouped(mostCount)})`;
  const most = addresses === 1 || (moreAddresses && mostCount <= 1) ? "" : `, most from ${mostFrom}${mostTimes}`;
  const span = Math.max(1, Math.round(spanMs / 1_000));
  const example = of.example === undefined ? "" : `; last: ${of.example}`;
  return {
    event: "connections-summed",
    level: "warning",
    message:
      `${wordsOf(reason)}${key === undefined ? "" : ` (key ${key})`}: ${grouped(count)} more from ${from} in the last ${span === 60 ? "minute" : `${span} s`}` +
      `${most}${example}`,
    key,
    phase,
    reason,
    code,
    recognised,
    count,
    addresses,
    moreAddresses: moreAddresses ? true : undefined,
    mostFrom,
    mostCount: moreAddresses ? undefined : mostCount,
    spanMs,
  };
}

const PHASES: Readonly<Record<ConnectionView["phase"], string>> = {
  dialling: "connecting to the target",
  handshaking: "handshaking",
  "client-known": "client authenticated, handshaking and connecting to the target",
  piping: "open",
  ended: "ended",
};

/** The reason as people read it. */
function wordsOf(reason: EndReason): string {
  return reason.replaceAll("-", " ");
}

function who({ id, source, keyName, phase }: Omit<ConnectionView, "ageMs">): SomeFacts {
  return { connection: id, peer: source, key: keyName, phase };
}

function amounts({ bytesForward, bytesReverse }: Pick<ConnectionView, "bytesForward" | "bytesReverse">): SomeFacts {
  return { bytesForward, bytesReverse };
}

function amountWords({ phase, bytesForward, bytesReverse }: Omit<ConnectionView, "ageMs">): readonly string[] {
  return phase === "piping" ? [`${bytesForward} bytes forward, ${bytesReverse} back`] : [];
}

function keyWords({ keyName }: Omit<ConnectionView, "ageMs">): readonly string[] {
  return keyName === undefined ? [] : [`key ${keyName}`];
}

function handshakeWords({ handshakeMs }: Omit<ConnectionView, "ageMs">): readonly string[] {
  return handshakeMs === undefined ? [] : [`handshake ${seconds(handshakeMs)}`];
}

function parenthesis(words: readonly string[]): string {
  return words.length === 0 ? "" : ` (${words.join(", ")})`;
}

function seconds(milliseconds: number): string {
  return `${(milliseconds / 1_000).toFixed(3)} s`;
}
