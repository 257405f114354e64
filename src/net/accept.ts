/**
 * Accepted sockets that read into shared memory.
 *
 * `net.connect` takes `onread`; a server's own sockets have no such option. The handle of an accepted connection is
 * therefore taken before Node makes a socket of it, and a socket with `onread` is made instead. That relies on two
 * things of Node that are not documented, so it is all in this file, and where either is missing, the server's own
 * sockets are used and read as streams.
 */

import { type Server, Socket, type SocketConstructorOpts } from "node:net";
import { messageOf, SpipedError } from "../errors.js";
import type { Accepted, AcceptHandlers } from "./accepted.js";
import { describePeer } from "./native-socket.js";
import type { ReadOptions, SocketReader } from "./socket-reader.js";

interface ListeningHandle {
  onconnection: (status: number, client: unknown) => void;
}

/** Sends the server's clients to `handlers`. Called when the server listens, before its first client. */
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
      // Some systems refuse what Node asks of a socket that has been reset; that ends nothing but itself.
      const why = `cannot accept a connection: ${messageOf(cause)}`;
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
  // At once, before a reset can come: a socket that has lost its peer no longer knows.
  return { socket, reader, peer: describePeer(socket) };
}

function listeningHandle(server: Server): ListeningHandle | undefined {
  const handle: unknown = Reflect.get(server, "_handle");
  if (typeof handle !== "object" || handle === null) return undefined;
  if (!("onconnection" in handle) || typeof handle.onconnection !== "function") return undefined;
  return handle as ListeningHandle;
}
