/**
 * Socket errors that Node does not report.
 *
 * If a reset follows data immediately, libuv reads the data, sees the hang-up, and reports an orderly end without reading
 * again. The error is still pending on the descriptor (SO_ERROR). A reset must never be mistaken for an orderly end, so
 * every end of a stream is checked here. The descriptor is an undocumented property; if it is not known, Node's word is
 * taken.
 */

import type { Socket } from "node:net";
import { addon } from "../native/native.js";
import { descriptorOf } from "./native-socket.js";

/** The code of the pending error, such as `ECONNRESET`; undefined if there is none. */
export function pendingSocketError(socket: Socket): string | undefined {
  const descriptor = descriptorOf(socket);
  if (descriptor === undefined) return undefined;
  try {
    return addon.takeSocketError(descriptor) ?? undefined;
  } catch {
    // Not a socket; pipes have no pending error.
    return undefined;
  }
}
