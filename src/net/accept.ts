/**
 * Accepted sockets that read into shared memory.
 *
 * `net.connect` takes `onread`, but sockets that a server accepts have no such option. So we intercept the handle of an
 * accepted connection before Node wraps it, and wrap it in a socket with `onread` ourselves. This relies on two
 * undocumented Node internals, both confined to this file. If either is missing, the server's own sockets are used and
 * read as streams.
 */

import { type Server, Socket, type SocketConstructorOpts } from "node:net";
import { SpipedError } from "../errors.js";
import { systemReason } from "../system-reason.js";
import type { Accepted, AcceptHandlers } from "./accepted.js";
import { describePeer } from "./native-socket.js";
import type { ReadOptions, SocketReader } from "./socket-reader.js";

interface ListeningHandle {
  onconnection: (status: number, client: unknown) => void;
}

/** Passes the server's clients to `handlers`. Call it once the server listens, before it accepts the first client. */
export function takeHandles(server: Server, handlers: AcceptHandlers): void {
  const handle = listeningHandle(server);
  const { createReader } = handlers;
  if (handle === undefined || createReader === undefined) {
    server.on("connection", (socket) => {
      handlers.accepted({ socket, reader: undefined, peer: describePeer(socket) });
    });
    return;
  }
  handle.onconnection = (status, client) => {
    if (status !== 0 || client === undefined) {
      handlers.failed(new SpipedError("SPIPED_LISTEN", `cannot accept a connection (error ${status})`));
      return;
    }
    let accepted: Accepted;
    try {
      accepted = socketOf(client, createReader.call(handlers));
    } catch (cause) {
      // On some systems, setting up a socket that has already been reset fails. Only this client is lost.
      const why = `cannot accept a connection: ${systemReason(cause)}`;
      handlers.failed(new SpipedError("SPIPED_LISTEN", why, { cause }));
      return;
    }
    handlers.accepted(accepted);
  };
}

function socketOf(handle: unknown, reader: SocketReader): Accepted {
  const options: SocketConstructorOpts & ReadOptions & { handle: unknown } = {
    handle,
    manualStart: true,
    allowHalfOpen: true,
    onread: reader.onread,
  };
  const socket = new Socket(options);
  reader.attach(socket);
  // Ask now: after a reset, the socket no longer knows its peer.
  return { socket, reader, peer: describePeer(socket) };
}

function listeningHandle(server: Server): ListeningHandle | undefined {
  const handle: unknown = Reflect.get(server, "_handle");
  if (typeof handle !== "object" || handle === null) return undefined;
  if (!("onconnection" in handle) || typeof handle.onconnection !== "function") return undefined;
  return handle as ListeningHandle;
}
