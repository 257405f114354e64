/**
 * Log messages about connections: accepted, established, ended, and summaries of many failures.
 */

import { type EndReason, isInternalError, stackOf } from "../errors.js";
import type { ConnectionReport, ConnectionView } from "../tunnel/reports.js";
import { grouped } from "./counted.js";
import type { Level, LogEntry, SomeFacts } from "./entry.js";
import type { Sum } from "./failure-summaries.js";
import { recognitionHint } from "./recognition-hints.js";

/** A client has connected. */
export function acceptedEntry(view: ConnectionView): LogEntry {
  const message = `connection from ${view.source}: accepted`;
  return { event: "connection-accepted", level: "debug", message, ...identity(view) };
}

/** The handshake is done and the target is connected. */
export function establishedEntry(view: ConnectionView): LogEntry {
  return {
    event: "connection-established",
    level: "debug",
    message: `connection from ${view.source}: established${parenthesized([...keyTexts(view), ...handshakeTexts(view)])}`,
    ...identity(view),
    handshakeMs: view.handshakeMs,
  };
}

/** The level of a connection's last message. */
export function levelOfEnd({ reason, error }: Pick<ConnectionReport, "reason" | "error">): Level {
  if (reason === "closed") return "debug";
  return error !== undefined && isInternalError(error) ? "error" : "warning";
}

/** A connection has ended. */
export function endedEntry(report: ConnectionReport): LogEntry {
  const { source, reason, error, durationMs, recognized } = report;
  const why = error === undefined ? "" : `: ${error.message}`;
  const facts = [...keyTexts(report), ...amountTexts(report), seconds(durationMs), ...handshakeTexts(report)];
  return {
    event: "connection-ended",
    level: levelOfEnd(report),
    message: `connection from ${source}: ${reasonText(reason)}${why}${parenthesized(facts)}`,
    hint: error?.hint ?? (recognized && recognitionHint(recognized)),
    ...identity(report),
    reason,
    code: error?.code,
    recognized: recognized?.kind,
    ...amounts(report),
    durationMs,
    handshakeMs: report.handshakeMs,
    stack: error !== undefined && isInternalError(error) ? stackOf(error) : undefined,
  };
}

/** An open connection, in answer to SIGUSR1 or SIGUSR2. */
export function openEntry(view: ConnectionView): LogEntry {
  const { source, phase, ageMs } = view;
  const facts = [...keyTexts(view), ...amountTexts(view), seconds(ageMs), ...handshakeTexts(view)];
  return {
    event: "state-connection",
    level: "info",
    isAnswer: true,
    message: `connection from ${source}: ${PHASES[phase]}${parenthesized(facts)}`,
    ...identity(view),
    ...amounts(view),
    ageMs,
    handshakeMs: view.handshakeMs,
  };
}

/** A summary of failures that were not logged one by one. */
export function summedEntry({ of, count, addresses, moreAddresses, mostFrom, mostCount, spanMs }: Sum): LogEntry {
  const { key, reason = "failed", phase, code, recognized } = of.facts;
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
      `${reasonText(reason)}${key === undefined ? "" : ` (key ${key})`}: ${grouped(count)} more from ${from} in the last ${span === 60 ? "minute" : `${span} s`}` +
      `${most}${example}`,
    key,
    phase,
    reason,
    code,
    recognized,
    count,
    addresses,
    moreAddresses: moreAddresses ? true : undefined,
    mostFrom,
    mostCount: moreAddresses ? undefined : mostCount,
    spanMs,
  };
}

const PHASES: Readonly<Record<ConnectionView["phase"], string>> = {
  dialing: "connecting to the target",
  handshaking: "handshaking",
  "client-known": "client authenticated, handshaking and connecting to the target",
  piping: "open",
  ended: "ended",
};

/** The reason as prose: `connect failed`. */
function reasonText(reason: EndReason): string {
  return reason.replaceAll("-", " ");
}

function identity({ id, source, keyName, phase }: Omit<ConnectionView, "ageMs">): SomeFacts {
  return { connection: id, peer: source, key: keyName, phase };
}

function amounts({ bytesForward, bytesReverse }: Pick<ConnectionView, "bytesForward" | "bytesReverse">): SomeFacts {
  return { bytesForward, bytesReverse };
}

function amountTexts({ phase, bytesForward, bytesReverse }: Omit<ConnectionView, "ageMs">): readonly string[] {
  return phase === "piping" ? [`${bytesForward} bytes forward, ${bytesReverse} back`] : [];
}

function keyTexts({ keyName }: Omit<ConnectionView, "ageMs">): readonly string[] {
  return keyName === undefined ? [] : [`key ${keyName}`];
}

function handshakeTexts({ handshakeMs }: Omit<ConnectionView, "ageMs">): readonly string[] {
  return handshakeMs === undefined ? [] : [`handshake ${seconds(handshakeMs)}`];
}

function parenthesized(texts: readonly string[]): string {
  return texts.length === 0 ? "" : ` (${texts.join(", ")})`;
}

function seconds(milliseconds: number): string {
  return `${(milliseconds / 1_000).toFixed(3)} s`;
}
