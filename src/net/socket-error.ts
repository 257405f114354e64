/**
 * The error that a socket has met and Node does not tell.
 *
 * When a reset comes right behind data, libuv reads the data, sees that the other side has hung up, and reports an
 * orderly end without reading once more. The system still knows better: the error waits at the descriptor. Nothing of
 * this program may take a reset for an end, so every end asks for it. The descriptor's number is not documented; where
 * it is not known, the end counts as what Node says.
 */

import type { Socket } from "node:net";
import { addon } from "../native/native.js";
import { descriptorOf } from "./native-socket.js";

/** The name of the error, `ECONNRESET` say; undefined where the end is an orderly one. */
export function pendingSocketError(socket: Socket): string | undefined {
  const descriptor = descriptorOf(socket);
  if (descriptor === undefined) return undefined;
  try {
    return addon.takeSocketError(descriptor) ?? undefined;
  } catch {
    // Not a socket: a pipe of `spipe` has no such error.
    return undefined;
  }
}
