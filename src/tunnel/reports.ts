/** What is reported about connections, while open and at their end. */

import type { EndReason, SpipedError } from "../errors.js";
import type { Recognition } from "./recognition.js";

/** The phase of a connection. `client-known`: the server has authenticated the client, exchanges keys and dials. */
export type PhaseName = "dialing" | "handshaking" | "client-known" | "piping" | "ended";

/** An open connection; every property is current when read. */
export interface ConnectionView {
  /** Number of the connection within the process, from 1. */
  readonly id: number;
  readonly phase: PhaseName;
  /** Address of the client. */
  readonly source: string;
  /** The name of the client's key; undefined if keys have no names, or it is not known yet. */
  readonly keyName: string | undefined;
  /** Time since it was accepted. */
  readonly ageMs: number;
  /** Duration of the handshake; undefined until it is complete. */
  readonly handshakeMs: number | undefined;
  /** Bytes of cleartext so far, from source to target and back. */
  readonly bytesForward: number;
  readonly bytesReverse: number;
}

/** How a connection ended. */
export interface ConnectionReport extends Omit<ConnectionView, "ageMs"> {
  readonly reason: EndReason;
  /** The error that ended it; undefined for `closed`. */
  readonly error: SpipedError | undefined;
  /** The phase in which it ended. */
  readonly phase: PhaseName;
  /** What the peer of a failed handshake seems to be; undefined if not recognized. */
  readonly recognized?: Recognition | undefined;
  readonly durationMs: number;
}
