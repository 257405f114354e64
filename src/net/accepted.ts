/**
 * Clients that a listening socket has accepted, and what whoever listens gives to have them accepted.
 */

import type { Socket } from "node:net";
import type { SpipedError } from "../errors.js";
import type { AddonSocketOptions, AddonSockets } from "./addon-sockets.js";
import type { SocketReader } from "./socket-reader.js";

/** A client whose socket the addon has. */
export interface AcceptedByAddon {
  readonly sockets: AddonSockets;
  readonly id: number;
  /** Who it is, for people. */
  readonly peer: string;
}

/** A client that has been accepted. */
export interface Accepted {
  readonly socket: Socket;
  /** Takes the socket's `onread`, or is undefined where this version of Node offers no way to set it. */
  readonly reader: SocketReader | undefined;
  /** Who it is, for people. */
  readonly peer: string;
}

/** What the owner of a listening socket gives. */
export interface AcceptHandlers {
  /** Makes the reader for the next client; left out where clients are read as streams. */
  createReader?(): SocketReader;
  accepted(client: Accepted): void;
  failed(error: SpipedError): void;
  /** How clients are accepted without a socket of Node's; left out where all are to have one. */
  readonly viaAddon?: AddonAcceptHandlers;
}

/** Accepting without sockets of Node's. */
export interface AddonAcceptHandlers {
  /** Asked when accepting begins; undefined: clients get sockets of Node's. */
  setup(): { readonly sockets: AddonSockets; readonly options: AddonSocketOptions } | undefined;
  /** How many may be accepted before others have a turn. */
  clientsPerTurn(): number;
  accepted(client: AcceptedByAddon): void;
}
