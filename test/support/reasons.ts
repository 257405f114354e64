// Why a connection came to nothing, as spiped tells it: the whole reason, so that a test cannot take one for another.

import assert from "node:assert/strict";
import type { Command } from "./command.js";
import { connectionLines, type Spiped } from "./tunnel.js";

const SOMEBODY = String.raw`(?:\[[^\]]*\]:\d+|uid \d+(?: \(pid \d+\))?|/\S*)`;
const HEAD = new RegExp(`^spiped: connection from ${SOMEBODY}: `);
const FACTS = / \([^()]*\d\.\d{3} s[^()]*\)$/;
const HINT = /; hint: .*$/;
const SIDE = new RegExp(`\\b(source|target) ${SOMEBODY}: `);

/** What a line says of a connection's end, without the client's name, the sides' addresses, figures and hint. */
export function reasonIn(line: string): string {
  assert.match(line, HEAD);
  return line.replace(HINT, "").replace(FACTS, "").replace(HEAD, "").replace(SIDE, "$1: ");
}

/** Waits until so many lines about connections have come. @returns The last one's reason. */
export async function untilReason(command: Command, count = 1): Promise<string> {
  return reasonIn(await command.line(HEAD, count));
}

/** The reasons in all lines about single connections so far. */
export function reasonsOf({ command }: Pick<Spiped, "command">): readonly string[] {
  return connectionLines(command).map(reasonIn);
}

export const wrongMac = "handshake failed: wrong MAC: the peer has a different key, or is not spiped";
export const outOfRange = "handshake failed: the peer's public value is out of range";
export const noForwardSecrecy = "handshake failed: the peer has turned forward secrecy off, and this end requires it";
export const toldToEnd = "cancelled: shutting down";

/** The peer's stream ended inside the handshake. To a client, whose server has had its turn then, that may be its key. */
export function handshakeEnded(bytes: number, end: "-d" | "-e"): string {
  const guess = end === "-e" && bytes > 0 ? "; it may have a different key" : "";
  return `handshake failed: the peer closed the connection after ${bytes} of 320 handshake bytes${guess}`;
}

/** A side was reset, or closed while there was still something to write to it. */
export function resetBy(
  side: "source" | "target",
  words: "connection reset by peer" | "broken pipe" = "connection reset by peer",
) {
  return `reset: ${side}: ${words}`;
}

export function truncatedAfter(bytes: number): string {
  return `truncated: stream ended inside a packet, after ${bytes} of its bytes`;
}

/** What is added to a reason where nothing at all came from the peer. */
export const saidNothing = "; the peer sent nothing (0 of 320 handshake bytes)";

/** The handshake has taken longer than -o allows. */
export function tookTooLong(seconds: number): string {
  return `timed out: handshake not finished after ${seconds} s`;
}
