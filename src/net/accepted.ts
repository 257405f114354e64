/**
 * Accepted clients, and the callbacks that the owner of a listening socket provides.
 */

import type { Socket } from "node:net";
import type { SpipedError } from "../errors.js";
import type { AddonSocketOptions, AddonSockets } from "./addon-sockets.js";
import type { SocketReader } from "./socket-reader.js";

/** An accepted client whose socket is in the addon. */
export interface AcceptedByAddon {
  readonly sockets: AddonSockets;
  readonly id: number;
  /** Printable name of the peer. */
  readonly peer: string;
}

/** An accepted client with a Node socket. */
export interface Accepted {
  readonly socket: Socket;
  /** Reads through the socket's `onread`. Undefined if this version of Node has no way to set it. */
  readonly reader: SocketReader | undefined;
  /** Printable name of the peer. */
  readonly peer: string;
}

/** The callbacks of a listening socket's owner. */
export interface AcceptHandlers {
  /** Creates the reader for the next client. Omit it to read clients as streams. */
  createReader?(): SocketReader;
  accepted(client: Accepted): void;
  failed(error: SpipedError): void;
  /** Accepts clients without Node sockets. Omit it to give every client a Node socket. */
  readonly viaAddon?: AddonAcceptHandlers;
}

/** Callbacks for accepting clients without Node sockets. */
export interface AddonAcceptHandlers {
  /** Called when accepting begins. Returns undefined to give clients Node sockets. */
  setup(): { readonly sockets: AddonSockets; readonly options: AddonSocketOptions } | undefined;
  /** How many clients to accept before yielding to the event loop. */
  clientsPerTurn(): number;
  accepted(client: AcceptedByAddon): void;
}
