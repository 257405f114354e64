/**
 * What is told of connections: while they are open, and when they have ended.
 */

import type { EndReason, SpipedError } from "../errors.js";
import type { Recognition } from "./recognition.js";

/** What a connection is doing. `client-known`: the server is sure of the client, and exchanges keys and dials. */
export type PhaseName = "dialling" | "handshaking" | "client-known" | "piping" | "ended";

/** An open connection, as it is at the moment of each question. */
export interface ConnectionView {
  /** Tells the connections of a process apart; from 1. */
  readonly id: number;
  readonly phase: PhaseName;
  /** Who connected. */
  readonly source: string;
  /** The name of the client's key; undefined where keys have no names, or it is not known yet. */
  readonly keyName: string | undefined;
  /** Time since it was accepted. */
  readonly ageMs: number;
  /** How long the handshake took; undefined until it is over. */
  readonly handshakeMs: number | undefined;
  /** Bytes of cleartext so far, from the source to the target, and back. */
  readonly bytesForward: number;
  readonly bytesReverse: number;
}

/** How a connection ended. */
export interface ConnectionReport extends Omit<ConnectionView, "ageMs"> {
  readonly reason: EndReason;
  /** The error that ended it; none for `closed`. */
  readonly error: SpipedError | undefined;
  /** What the connection was doing when it ended. */
  readonly phase: PhaseName;
  /** What the peer of a handshake that failed seems to be; undefined where nothing can be said. */
  readonly recognised?: Recognition | undefined;
  readonly durationMs: number;
}
