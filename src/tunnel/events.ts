/** The events of a tunnel. */

import { EventEmitter } from "node:events";
import type { SpipedError } from "../errors.js";
import type { SocketAddress } from "../net/address.js";
import type { ConnectionReport, ConnectionView } from "./reports.js";

/** Events and their arguments. */
export interface TunnelEventMap {
  /** A client has connected. */
  accepted: [connection: ConnectionView];
  /** The handshake is complete, the target is connected, and data can flow. */
  established: [connection: ConnectionView];
  /** A connection has ended and its resources are released. */
  ended: [report: ConnectionReport];
  /** The connection limit is reached; further clients wait. */
  limitReached: [maxConnections: number];
  /** Too few descriptors are left for another connection, with this many open; further clients wait. */
  descriptorsUsedUp: [connections: number];
  /** Listening has failed for now; the tunnel continues. */
  listenFailed: [error: SpipedError];
  /** A lookup of the target failed after one that succeeded; the old addresses are kept. */
  lookupFailed: [error: SpipedError];
  /** The first successful lookup of the target after one that failed. */
  lookupRecovered: [name: string];
  /** A lookup of the target found different addresses. */
  addressesChanged: [name: string, addresses: readonly SocketAddress[]];
  /** The tunnel has stopped listening; open connections continue. */
  draining: [];
  /** It is draining and no handshake is pending: its keys are no longer needed. */
  handshakesOver: [];
  /** All connections have ended; this is the last event. */
  drained: [];
}

export class TunnelEmitter extends EventEmitter<TunnelEventMap> {}
