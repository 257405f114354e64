/**
 * What moves a connection's bytes once the handshake is over, in both directions, until it ends.
 *
 *     two sockets               → relayed-flow.ts: threads of the addon
 *     anything else, or Windows → pumped-flow.ts: two pumps
 */

import type { SpipedError } from "../errors.js";
import type { Channel } from "../net/channel.js";
import type { SessionKeys } from "../protocol/handshake.js";

/** Both directions of a connection. */
export interface Flow {
  /** Bytes of cleartext so far, from the source to the target and back. */
  readonly bytesForward: number;
  readonly bytesReverse: number;
  /** Moves no more bytes, and wipes the keys. */
  stop(): void;
}

/** What a flow is made of. */
export interface FlowOptions {
  readonly encrypts: boolean;
  readonly source: Channel;
  readonly target: Channel;
  readonly keys: SessionKeys;
  /** True to end when everything from the target has been handed on, whatever the source still has to say. */
  readonly endWithTarget: boolean;
  /** Told when everything from the source has been handed on, its end too. */
  readonly forwardEnded: (() => void) | undefined;
  /** Told once: both directions have ended in an orderly way. */
  readonly ended: () => void;
  /** Told once: one of them cannot go on. */
  readonly failed: (error: SpipedError) => void;
}
