/**
 * Clients that a listening socket has accepted, and what whoever listens gives to have them accepted.
 */

import type { Socket } from "node:net";
import type { SpipedError } from "../errors.js";
import type { BareOptions, BareSockets } from "./bare-sockets.js";
import type { SocketReader } from "./socket-reader.js";

/** A client whose socket the addon has. */
export interface AcceptedBare {
  readonly sockets: BareSockets;
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
  readonly bare?: BareHandlers;
}

/** Accepting without sockets of Node's. */
export interface BareHandlers {
  /** Asked when accepting begins; undefined: clients get sockets of Node's. */
  how(): { readonly sockets: BareSockets; readonly options: BareOptions } | undefined;
  /** How many may be accepted before others have a turn. */
  clientsPerTurn(): number;
  accepted(client: AcceptedBare): void;
}
