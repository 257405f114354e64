/**
 * The options of dialing, with Node sockets or addon sockets.
 */

import type { AddonSockets } from "./addon-sockets.js";
import type { SocketAddress, TcpAddress } from "./address.js";
import type { CancelSignal } from "./cancellation.js";
import type { DescriptorBudget } from "./descriptors.js";
import type { ReadBuffer } from "./socket-reader.js";

/** How long to wait before retrying a UNIX socket with a full backlog. */
export const FULL_BACKLOG_DELAY_MS = 10;

/** How to dial. */
export interface DialOptions {
  /** At least one, in order of preference. */
  readonly addresses: readonly SocketAddress[];
  /** The target as the user wrote it, for messages. */
  readonly name: string;
  /** Local addresses to connect from; the first one of the target's family is used. */
  readonly bind: readonly TcpAddress[] | undefined;
  readonly timeoutMs: number;
  readonly keepAlive: boolean;
  /** Whether the target sees a reset if this process dies, from the moment the socket exists. */
  readonly resetOnDeath?: boolean;
  /** Memory to read into, and the total length of the exact reads. */
  readonly readBuffer: ReadBuffer;
  readonly exactLength: number;
  /** Books the sockets of concurrent attempts, except the first, which the caller has booked. */
  readonly descriptors: DescriptorBudget;
  /** Cancels dialing. */
  readonly signal: CancelSignal;
  /** If set, a single address may be dialed without a Node socket. */
  readonly addonSockets?: AddonSockets | undefined;
}
