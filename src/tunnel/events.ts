/**
 * What a tunnel tells whoever listens.
 */

import { EventEmitter } from "node:events";
import type { SpipedError } from "../errors.js";
import type { SocketAddress } from "../net/address.js";
import type { ConnectionReport, ConnectionView } from "./reports.js";

/** The events of a tunnel, with what comes with each. */
export interface TunnelEventMap {
  /** A client has connected. */
  accepted: [connection: ConnectionView];
  /** A handshake is over, the target is reached, and data can flow. */
  established: [connection: ConnectionView];
  /** Nothing of a connection is left. */
  ended: [report: ConnectionReport];
  /** As many connections as the limit allows are open; further clients wait. */
  limitReached: [maxConnections: number];
  /** With that many connections open, too few descriptors are left for another; further clients wait. */
  descriptorsUsedUp: [connections: number];
  /** Something is wrong with listening; the tunnel goes on. */
  listenFailed: [error: SpipedError];
  /** A look-up of the target failed where the one before succeeded; the old addresses stay. */
  lookupFailed: [error: SpipedError];
  /** A look-up of the target gave other addresses than before. */
  addressesChanged: [name: string, addresses: readonly SocketAddress[]];
  /** The tunnel no longer listens; open connections go on. */
  draining: [];
  /** It is draining, and no handshake is still to be begun or ended: nobody needs its keys any more. */
  handshakesOver: [];
  /** All connections have ended, and nothing more will be told. */
  drained: [];
}

/** Tells any number of listeners. */
export class TunnelEmitter extends EventEmitter<TunnelEventMap> {}
