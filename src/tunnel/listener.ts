/**
 * A tunnel: accepts clients, lets as many connections run as the limit allows, and ends them all.
 *
 * It reports what happens and does not know who listens.
 */

import { systemClock } from "../clock.js";
import type { TunnelConfig } from "../config/tunnel-config.js";
import { endReasonOf, type SpipedError } from "../errors.js";
import type { SocketAddress } from "../net/address.js";
import { BareChannel } from "../net/bare-channel.js";
import type { BareOptions, BareSockets } from "../net/bare-sockets.js";
import { type Carrier, type Channel, SocketChannel } from "../net/channel.js";
import { DESCRIPTORS_PER_CONNECTION, type DescriptorBudget } from "../net/descriptors.js";
import { type Accepted, type AcceptedBare, ListeningSocket } from "../net/listening-socket.js";
import { keepAlive } from "../net/native-socket.js";
import { SocketReader } from "../net/socket-reader.js";
import { StreamReader } from "../net/stream-reader.js";
import { HANDSHAKE_LENGTH } from "../protocol/constants.js";
import { keyPairs } from "../protocol/key-pairs.js";
import { asSpipedError } from "../protocol/native-errors.js";
import type { SharedKey } from "../protocol/secret.js";
import { Connection, type ConnectionReport } from "./connection.js";
import type { Destination } from "./destination.js";
import { cleartextMemory, packetMemory } from "./memory.js";
import { Places } from "./places.js";

/** What a tunnel reports. */
export interface TunnelEvents {
  connectionEnded(report: ConnectionReport): void;
  /** As many connections as the limit allows are open; further clients wait. */
  limitReached(maxConnections: number): void;
  /** With that many connections open, too few descriptors are left for another; further clients wait. */
  descriptorsUsedUp(connections: number): void;
  /** Something is wrong with listening; the tunnel goes on. */
  listenFailed(error: SpipedError): void;
  /** The tunnel no longer listens, and all connections have ended: nothing more will be reported. */
  drained?(): void;
}

/** What of a configuration a tunnel goes by; the addresses in it have been looked up by then. */
export type TunnelSettings = Omit<TunnelConfig, "source" | "target" | "bind" | "resolveIntervalMs">;

/** What a tunnel is made of, besides its settings. */
export interface TunnelParts {
  readonly key: SharedKey;
  /** Where to listen: the source, looked up. */
  readonly source: SocketAddress;
  /** Where to dial. */
  readonly destination: Destination;
  readonly events: TunnelEvents;
  readonly descriptors: DescriptorBudget;
}

/** What further clients can wait for. */
type Scarce = "places" | "descriptors" | "strangers";

/** Key pairs that are made before the connections that will use them. */
const KEY_PAIRS_AHEAD = 16;

/** Clients that are accepted at most before others have a turn. */
const CLIENTS_PER_TURN = 16;

/** How long to wait before accepting is tried again where it failed. */
const RETRY_MS = 1_000;

/** See the head of this file. */
export class Tunnel {
  readonly #config: TunnelSettings;
  readonly #parts: TunnelParts;
  readonly #connections = new Set<Connection>();
  readonly #places: Places<Connection>;
  readonly #socket: ListeningSocket;
  #key: SharedKey;
  #accepting = true;
  /** What further clients wait for; undefined while they are accepted. */
  #waitsFor: Scarce | undefined;
  #retry: NodeJS.Timeout | undefined;
  #drained: Promise<void> | undefined;
  #lastEnded: (() => void) | undefined;
  #releaseKeyPairs: () => void = () => undefined;

  private constructor(config: TunnelSettings, parts: TunnelParts) {
    this.#config = config;
    this.#parts = parts;
    this.#key = parts.key;
    this.#places = new Places(config.maxConnections, () => performance.now());
    const { readBuffer } = config.role === "encrypt" ? cleartextMemory : packetMemory;
    this.#socket = ListeningSocket.listen(parts.source, config.sourceMode, {
      createReader: () => new SocketReader(readBuffer, this.#exactLength),
      bare: {
        how: () => this.#bare(),
        // Not more than can go on: who waits in the backlog has all the time there is, who is a stranger has not.
        clientsPerTurn: () => Math.min(CLIENTS_PER_TURN, this.#places.free),
        accepted: (client) => this.#accepted(client),
      },
      accepted: (client) => this.#accepted(client),
      failed: (error) => parts.events.listenFailed(error),
    });
    if (config.role === "encrypt") this.#socket.resetOnDeath();
  }

  /**
   * Binds and listens; clients wait in the backlog until `accept`.
   *
   * @throws SpipedError `SPIPED_LISTEN`.
   */
  static listen(config: TunnelSettings, parts: TunnelParts): Tunnel {
    return new Tunnel(config, parts);
  }

  /** Begins to accept. */
  async accept(): Promise<void> {
    if (this.#accepting && this.#config.forwardSecrecy !== "off") {
      this.#releaseKeyPairs = keyPairs.keep(KEY_PAIRS_AHEAD, systemClock);
    }
    await this.#socket.accept();
    this.#parts.destination.start();
  }

  /** Where clients connect, with the port that the system chose. */
  get address(): SocketAddress {
    return this.#socket.address;
  }

  /** Connections that are open. */
  get connections(): number {
    return this.#connections.size;
  }

  /**
   * Takes another key for handshakes that begin from now on.
   *
   * @returns The key until now; the caller destroys it, unless others use it.
   */
  useKey(key: SharedKey): SharedKey {
    const old = this.#key;
    this.#key = key;
    return old;
  }

  /** Closes the listening socket; resolves when the last connection has ended, however often it is called. */
  drain(): Promise<void> {
    this.#drained ??= new Promise((resolve) => {
      this.#lastEnded = () => {
        this.#lastEnded = undefined;
        this.#parts.events.drained?.();
        resolve();
      };
      this.#accepting = false;
      clearTimeout(this.#retry);
      // No new connections: whoever is in the middle of a handshake gets a pair all the same.
      this.#releaseKeyPairs();
      this.#socket.close();
      this.#parts.destination.stop();
      this.#settle();
    });
    return this.#drained;
  }

  /** Ends all connections at once. */
  cancel(): void {
    for (const connection of [...this.#connections]) connection.cancel();
  }

  get #exactLength(): number {
    return this.#config.role === "encrypt" ? 0 : HANDSHAKE_LENGTH;
  }

  /** Whatever goes wrong with one client costs this one. */
  #accepted(client: Accepted | AcceptedBare): void {
    try {
      this.#begin(client);
    } catch (thrown) {
      if ("sockets" in client) client.sockets.close(client.id, false);
      else client.socket.on("error", () => undefined).destroy();
      const error = asSpipedError(thrown);
      this.#parts.events.connectionEnded({
        reason: endReasonOf(error),
        error,
        phase: this.#config.role === "encrypt" ? "dialling" : "handshaking",
        source: client.peer,
        bytesForward: 0,
        bytesReverse: 0,
        durationMs: 0,
      });
    }
  }

  #bare(): { readonly sockets: BareSockets; readonly options: BareOptions } | undefined {
    const sockets = this.#parts.destination.bare?.();
    const { role, keepAlive } = this.#config;
    return sockets && { sockets, options: { keepAlive, resetOnDeath: role === "encrypt" } };
  }

  #channelOf(client: Accepted | AcceptedBare): Channel & Carrier {
    const { role } = this.#config;
    const { peer } = client;
    const exactLength = this.#exactLength;
    if ("sockets" in client) {
      const { readBuffer } = role === "encrypt" ? cleartextMemory : packetMemory;
      const { sockets, id } = client;
      return new BareChannel({ sockets, id, peer, exactLength, readBuffer, resetOnDeath: role === "encrypt" });
    }
    const { socket, reader } = client;
    socket.setNoDelay(true);
    if (this.#config.keepAlive) keepAlive(socket);
    return new SocketChannel(socket, reader ?? new StreamReader(socket, exactLength), peer);
  }

  #begin(client: Accepted | AcceptedBare): void {
    const { role, forwardSecrecy, timeoutMs } = this.#config;
    const { destination, descriptors } = this.#parts;
    const places = this.#places;
    // Whoever cannot give way was asked before this client was accepted.
    if (places.areStrangersFull || !descriptors.hasRoom) places.oldestStranger?.client.crowdOut();
    const channel = this.#channelOf(client);
    const connection = new Connection({
      role,
      source: channel,
      target: destination.next(channel),
      key: () => this.#key,
      forwardSecrecy,
      timeoutMs,
      endWithTarget: false,
      admit: () => {
        const admitted = places.admit(connection);
        this.#acceptOrWait();
        return admitted;
      },
      ended: (report) => {
        this.#connections.delete(connection);
        places.leave(connection);
        this.#parts.events.connectionEnded(report);
        descriptors.book(-DESCRIPTORS_PER_CONNECTION);
        this.#settle();
        this.#acceptOrWait();
      },
    });
    this.#connections.add(connection);
    places.enter(connection);
    // On the encrypting end, everybody who may connect is a friend.
    if (role === "encrypt") places.admit(connection);
    descriptors.book(DESCRIPTORS_PER_CONNECTION);
    this.#acceptOrWait();
  }

  /** Accepts while there is room for another connection; otherwise lets further clients wait in the backlog. */
  #acceptOrWait(): void {
    const { descriptors, events } = this.#parts;
    const { maxConnections } = this.#config;
    const places = this.#places;
    if (!this.#accepting) return;
    clearTimeout(this.#retry);
    const giveWay = places.oldestStranger;
    if (places.areFull) {
      this.#wait("places", () => events.limitReached(maxConnections));
    } else if (!descriptors.hasRoom && giveWay === undefined) {
      descriptors.whenRoom(this.#acceptAgain);
      this.#wait("descriptors", () => events.descriptorsUsedUp(this.#connections.size));
    } else if ((!descriptors.hasRoom || places.areStrangersFull) && giveWay !== undefined && giveWay.inMs > 0) {
      descriptors.whenRoom(this.#acceptAgain);
      this.#wait("strangers", () => undefined);
      this.#retry = setTimeout(this.#acceptAgain, giveWay.inMs);
    } else {
      this.#waitsFor = undefined;
      this.#socket.accept().catch((error: SpipedError) => {
        events.listenFailed(error);
        // One timer, however many connections end meanwhile and come by here.
        clearTimeout(this.#retry);
        this.#retry = setTimeout(this.#acceptAgain, RETRY_MS);
      });
    }
  }

  #wait(what: Scarce, tell: () => void): void {
    this.#socket.pause();
    if (this.#waitsFor === what) return;
    this.#waitsFor = what;
    tell();
  }

  readonly #acceptAgain = () => this.#acceptOrWait();

  #settle(): void {
    if (this.#connections.size === 0) this.#lastEnded?.();
  }
}
