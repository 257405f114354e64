/**
 * What dialling goes by, whichever way it is done.
 */

import type { AddonSockets } from "./addon-sockets.js";
import type { SocketAddress, TcpAddress } from "./address.js";
import type { CancelSignal } from "./cancellation.js";
import type { DescriptorBudget } from "./descriptors.js";
import type { ReadBuffer } from "./socket-reader.js";

/** How long to wait before a UNIX socket with a full backlog is tried again. */
export const FULL_BACKLOG_DELAY_MS = 10;

/** How to dial. */
export interface DialOptions {
  /** At least one, in order of preference. */
  readonly addresses: readonly SocketAddress[];
  /** The target as written, for messages. */
  readonly name: string;
  /** Local addresses to connect from; the first of the right family is taken. */
  readonly bind: readonly TcpAddress[] | undefined;
  readonly timeoutMs: number;
  readonly keepAlive: boolean;
  /** Whether the target sees a reset if this process dies, from the first moment on. */
  readonly resetOnDeath?: boolean;
  /** Memory to read into, and the bytes to be read exactly at first. */
  readonly readBuffer: ReadBuffer;
  readonly exactLength: number;
  /** Where the sockets of further attempts are booked; one socket is the caller's business. */
  readonly descriptors: DescriptorBudget;
  /** Gives the attempt up. */
  readonly signal: CancelSignal;
  /** Where a lone address may be dialled without a socket of Node's. */
  readonly addonSockets?: AddonSockets | undefined;
}
