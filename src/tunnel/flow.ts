/**
 * Moves a connection's bytes in both directions, from the handshake to the end.
 *
 *     two sockets               → relayed-flow.ts: threads of the addon
 *     anything else, or Windows → pumped-flow.ts: two pumps
 */

import type { SpipedError } from "../errors.js";
import type { Channel } from "../net/channel.js";
import type { SessionKeys } from "../protocol/handshake.js";

/** Both directions of a connection. */
export interface Flow {
  /** Bytes of cleartext so far, from source to target and back. */
  readonly bytesForward: number;
  readonly bytesReverse: number;
  /** Stops moving bytes, and wipes the keys. */
  stop(): void;
}

export interface FlowOptions {
  readonly encrypts: boolean;
  readonly source: Channel;
  readonly target: Channel;
  readonly keys: SessionKeys;
  /** True to end once everything from the target has been delivered, even if the source has not ended. */
  readonly endWithTarget: boolean;
  /** Called when everything from the source has been delivered, including its end. */
  readonly forwardEnded: (() => void) | undefined;
  /** Called once, when both directions have ended in an orderly way. */
  readonly ended: () => void;
  /** Called once, when one direction has failed. */
  readonly failed: (error: SpipedError) => void;
}
