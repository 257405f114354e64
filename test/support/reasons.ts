// Reasons of failed connections in the log: compared whole, so that a test cannot mistake one for another.

import assert from "node:assert/strict";
import type { Command } from "./command.js";
import { connectionLines, type Spiped } from "./tunnel.js";

const SOMEBODY = String.raw`(?:\[[^\]]*\]:\d+|uid \d+(?: \(pid \d+\))?|/\S*)`;
const HEAD = new RegExp(`^spiped: connection from ${SOMEBODY}: `);
const FACTS = / \([^()]*\d\.\d{3} s[^()]*\)$/;
const HINT = /; hint: .*$/;
const SIDE = new RegExp(`\\b(source|target) ${SOMEBODY}: `);

/** The reason in a log message about a connection's end, without the client's name, addresses, figures and hint. */
export function reasonIn(line: string): string {
  assert.match(line, HEAD);
  return line.replace(HINT, "").replace(FACTS, "").replace(HEAD, "").replace(SIDE, "$1: ");
}

/** Waits for this many messages about connections. @returns The last one's reason. */
export async function untilReason(command: Command, count = 1): Promise<string> {
  return reasonIn(await command.line(HEAD, count));
}

/** The reasons in all messages about single connections so far. */
export function reasonsOf({ command }: Pick<Spiped, "command">): readonly string[] {
  return connectionLines(command).map(reasonIn);
}

export const wrongMac = "handshake failed: wrong MAC: the peer has a different key, or is not spiped";
export const outOfRange = "handshake failed: the peer's public value is out of range";
export const noForwardSecrecy = "handshake failed: the peer has turned forward secrecy off, and this end requires it";
export const toldToEnd = "cancelled: shutting down";

/** The peer's stream ended during the handshake. For a client, whose server had its turn, the key may be wrong. */
export function handshakeEnded(bytes: number, end: "-d" | "-e" | "-e -f"): string {
  const orStricter = end === "-e -f" ? ", or it requires forward secrecy, which is off at this end" : "";
  const guess = end !== "-d" && bytes > 0 ? `; it may have a different key${orStricter}` : "";
  return `handshake failed: the peer closed the connection after ${bytes} of 320 handshake bytes${guess}`;
}

/** A side was reset, or closed with unwritten data. */
export function resetBy(
  side: "source" | "target",
  words: "connection reset by peer" | "broken pipe" = "connection reset by peer",
) {
  return `reset: ${side}: ${words}`;
}

export function truncatedAfter(bytes: number): string {
  return `truncated: stream ended inside a packet, after ${bytes} of its bytes`;
}

/** Added to a reason if the peer sent nothing at all. */
export const saidNothing = "; the peer sent nothing (0 of 320 handshake bytes)";

/** The handshake took longer than -o. */
export function tookTooLong(seconds: number): string {
  return `timed out: handshake not finished after ${seconds} s`;
}
