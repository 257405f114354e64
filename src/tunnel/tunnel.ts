/**
 * A tunnel: accepts clients up to the connection limit, and ends their connections.
 *
 * It emits events and knows nothing of its listeners. Longer than most files because accepting, waiting and draining are one
 * state machine.
 */

import { systemClock } from "../clock.js";
import type { TunnelConfig } from "../config/tunnel-config.js";
import { endReasonOf, type SpipedError } from "../errors.js";
import type { Accepted, AcceptedByAddon, AcceptHandlers } from "../net/accepted.js";
import type { AddonSocketOptions, AddonSockets } from "../net/addon-sockets.js";
import type { SocketAddress } from "../net/address.js";
import { DESCRIPTORS_PER_CONNECTION, type DescriptorBudget } from "../net/descriptors.js";
import type { ListeningSocket } from "../net/listening-socket.js";
import { keyPairs } from "../protocol/key-pairs.js";
import type { KeyRing } from "../protocol/key-ring.js";
import { asSpipedError } from "../protocol/native-errors.js";
import { acceptedChannel, acceptedReader } from "./accepted-channel.js";
import { Connection } from "./connection.js";
import { ConnectionSlots } from "./connection-slots.js";
import type { TunnelEmitter } from "./events.js";
import type { ConnectionView } from "./reports.js";
import type { Targets } from "./target.js";

/** The part of a configuration that a tunnel uses; its addresses have been resolved before. */
export type TunnelSettings = Omit<
  TunnelConfig,
  "name" | "source" | "target" | "bind" | "resolveIntervalMs" | "sourceMode"
>;

/** The parts of a tunnel, besides its settings. */
export interface TunnelParts {
  readonly keys: KeyRing;
  /** Listening socket, owned by the tunnel unless it is released. */
  readonly socket: ListeningSocket;
  /** Where to connect. */
  readonly targets: Targets;
  readonly events: TunnelEmitter;
  readonly descriptors: DescriptorBudget;
}

/** Why further clients have to wait. */
type Scarce = "slots" | "descriptors" | "strangers";

/** The state of a tunnel. States advance in this order; some may be skipped. */
export type TunnelState =
  /** Clients wait in the backlog. */
  | { readonly name: "idle" }
  | { readonly name: "starting" }
  /** `waitsFor`: what further clients wait for; undefined while clients are accepted. */
  | { readonly name: "listening"; readonly waitsFor: Scarce | undefined }
  /** No longer listens; open connections continue. */
  | { readonly name: "draining"; readonly drained: Promise<void>; readonly lastEnded: () => void }
  | { readonly name: "ended" };

/** Number of key pairs generated ahead of the connections that use them. */
const KEY_PAIRS_AHEAD = 16;

/** Maximum number of clients accepted per iteration of the event loop. */
const CLIENTS_PER_TURN = 16;

/** Delay before accepting is retried after a failure. */
const RETRY_MS = 1_000;

/**
 * A tunnel. It accepts from `start` on, and owns the listening socket and every connection until `drain` has resolved
 * or `release` has given the socket back. It reports through events.
 */
export class Tunnel {
  readonly #config: TunnelSettings;
  readonly #parts: TunnelParts;
  readonly #connections = new Set<Connection>();
  /** Connections that are not established yet. */
  readonly #beginning = new Set<Connection>();
  readonly #slots: ConnectionSlots<Connection>;
  #state: TunnelState = { name: "idle" };
  #retry: NodeJS.Timeout | undefined;
  #releaseKeyPairs: () => void = () => undefined;

  /**
   * Takes the listening socket; clients wait in the backlog until `start`.
   *
   * @throws SpipedError `SPIPED_STEP` if another tunnel owns the socket.
   */
  constructor(config: TunnelSettings, parts: TunnelParts) {
    this.#config = config;
    this.#parts = parts;
    this.#slots = new ConnectionSlots(config.maxConnections, () => performance.now());
    const handlers: AcceptHandlers = {
      createReader: () => acceptedReader(config.role),
      viaAddon: {
        setup: () => this.#addonSetup(),
        // Accept no more than can continue: clients can wait in the backlog indefinitely, but as strangers they have a
        // time limit.
        clientsPerTurn: () => Math.min(CLIENTS_PER_TURN, this.#slots.free),
        accepted: (client) => this.#accepted(client),
      },
      accepted: (client) => this.#accepted(client),
      failed: (error) => this.events.emit("listenFailed", error),
    };
    parts.socket.attach(handlers, config.role === "encrypt");
  }

  /**
   * Begins to accept.
   *
   * @throws SpipedError `SPIPED_LISTEN`.
   */
  async start(): Promise<void> {
    if (this.#state.name !== "idle") return;
    const starting: TunnelState = { name: "starting" };
    this.#state = starting;
    if (this.#config.forwardSecrecy !== "off") {
      this.#releaseKeyPairs = keyPairs.keep(KEY_PAIRS_AHEAD, systemClock);
    }
    await this.#parts.socket.accept();
    // Drained meanwhile, or the connection limit is reached already.
    if (this.#state.name === "starting") this.#state = { name: "listening", waitsFor: undefined };
    this.#parts.targets.start();
  }

  get events(): TunnelEmitter {
    return this.#parts.events;
  }

  get state(): TunnelState {
    return this.#state;
  }

  /** The address that clients connect to, with the port that the system chose. */
  get address(): SocketAddress {
    return this.#parts.socket.address;
  }

  /** Number of open connections. */
  get connections(): number {
    return this.#connections.size;
  }

  /** The connections that are open, oldest first. */
  get open(): Iterable<ConnectionView> {
    return this.#connections;
  }

  /** Maximum number of connections; `Infinity` for no limit. */
  get maxConnections(): number {
    return this.#config.maxConnections;
  }

  /** Whether a new client would be accepted now. */
  get isAccepting(): boolean {
    return this.#state.name === "listening" && this.#state.waitsFor === undefined;
  }

  /** The key ring, whose keys may be replaced. */
  get keys(): KeyRing {
    return this.#parts.keys;
  }

  /** Closes the listening socket; resolves when the last connection has ended. May be called more than once. */
  drain(): Promise<void> {
    return this.#drain(() => this.#parts.socket.close());
  }

  /**
   * Like `drain`, but leaves the listening socket open for another owner. Clients wait in the backlog meanwhile.
   *
   * @returns The socket, owned by the caller.
   */
  release(): ListeningSocket {
    void this.#drain(() => this.#parts.socket.detach());
    return this.#parts.socket;
  }

  /** Closes the listening socket for a while: clients are refused until `listenAgain`. */
  unbind(): void {
    this.#parts.socket.unbind();
  }

  /** Listens on the same address again; if that fails, retries every second. */
  listenAgain(): void {
    try {
      this.#parts.socket.listenAgain();
    } catch (error) {
      this.events.emit("listenFailed", error as SpipedError);
    }
    this.#acceptOrWait();
  }

  #drain(releaseSocket: () => void): Promise<void> {
    switch (this.#state.name) {
      case "ended":
        return Promise.resolve();
      case "draining":
        return this.#state.drained;
      case "idle":
      case "starting":
      case "listening":
        break;
    }
    const { promise, resolve } = deferred();
    this.#state = { name: "draining", drained: promise, lastEnded: resolve };
    clearTimeout(this.#retry);
    // There are no new connections; pending handshakes can still generate a key pair.
    this.#releaseKeyPairs();
    releaseSocket();
    this.#parts.targets.stop();
    this.events.emit("draining");
    this.#settleHandshakes();
    this.#settle();
    return promise;
  }

  /** Ends all connections at once. */
  cancel(): void {
    for (const connection of [...this.#connections]) connection.cancel();
  }

  /** Ends the connections whose keys were removed. @returns How many. */
  endRemoved(): number {
    return [...this.#connections].filter((connection) => connection.endIfKeyRemoved()).length;
  }

  /** A failure with one client affects only that client. */
  #accepted(client: Accepted | AcceptedByAddon): void {
    try {
      this.#begin(client);
    } catch (thrown) {
      if ("sockets" in client) client.sockets.close(client.id, false);
      else client.socket.on("error", () => undefined).destroy();
      const error = asSpipedError(thrown);
      this.events.emit("ended", {
        id: 0,
        reason: endReasonOf(error),
        error,
        phase: this.#config.role === "encrypt" ? "dialing" : "handshaking",
        source: client.peer,
        keyName: undefined,
        handshakeMs: undefined,
        bytesForward: 0,
        bytesReverse: 0,
        durationMs: 0,
      });
    }
  }

  #addonSetup(): { readonly sockets: AddonSockets; readonly options: AddonSocketOptions } | undefined {
    const sockets = this.#parts.targets.addonSockets?.();
    const { role, keepAlive } = this.#config;
    return sockets && { sockets, options: { keepAlive, resetOnDeath: role === "encrypt" } };
  }

  #begin(client: Accepted | AcceptedByAddon): void {
    const { role, forwardSecrecy, timeoutMs, proxyProtocol } = this.#config;
    const { targets, descriptors, events, keys } = this.#parts;
    const slots = this.#slots;
    // The stranger to drop was chosen before this client was accepted.
    if (slots.strangersFull || !descriptors.hasRoom) slots.oldestStranger?.client.evict();
    const channel = acceptedChannel(client, this.#config);
    const connection = new Connection({
      role,
      source: channel,
      target: targets.next(channel),
      keys: () => keys.offer,
      forwardSecrecy,
      timeoutMs,
      endWithTarget: false,
      proxyProtocol,
      admit: () => {
        const admitted = slots.admit(connection);
        this.#acceptOrWait();
        return admitted;
      },
      established: () => {
        this.#beginning.delete(connection);
        events.emit("established", connection);
        this.#settleHandshakes();
      },
      ended: (report) => {
        this.#connections.delete(connection);
        if (this.#beginning.delete(connection)) this.#settleHandshakes();
        slots.leave(connection);
        events.emit("ended", report);
        descriptors.book(-DESCRIPTORS_PER_CONNECTION);
        this.#settle();
        this.#acceptOrWait();
      },
    });
    this.#connections.add(connection);
    this.#beginning.add(connection);
    slots.enter(connection);
    // On the encrypting end, clients do not authenticate; all are admitted.
    if (role === "encrypt") void slots.admit(connection);
    descriptors.book(DESCRIPTORS_PER_CONNECTION);
    events.emit("accepted", connection);
    this.#acceptOrWait();
  }

  /** Accepts while there is room for another connection; otherwise further clients wait in the backlog. */
  #acceptOrWait(): void {
    const { descriptors, events, socket } = this.#parts;
    const { maxConnections } = this.#config;
    const slots = this.#slots;
    if (this.#state.name !== "starting" && this.#state.name !== "listening") return;
    clearTimeout(this.#retry);
    const giveWay = slots.oldestStranger;
    if (slots.isFull) {
      this.#wait("slots", () => events.emit("limitReached", maxConnections));
    } else if (!descriptors.hasRoom && giveWay === undefined) {
      descriptors.whenRoom(this.#acceptAgain);
      this.#wait("descriptors", () => events.emit("descriptorsUsedUp", this.#connections.size));
    } else if ((!descriptors.hasRoom || slots.strangersFull) && giveWay !== undefined && giveWay.inMs > 0) {
      descriptors.whenRoom(this.#acceptAgain);
      this.#wait("strangers", () => undefined);
      this.#retry = setTimeout(this.#acceptAgain, giveWay.inMs);
    } else {
      if (this.#waitsFor !== undefined) this.#state = { name: "listening", waitsFor: undefined };
      socket.accept().catch((error: SpipedError) => {
        events.emit("listenFailed", error);
        // One timer, however many connections end meanwhile.
        clearTimeout(this.#retry);
        this.#retry = setTimeout(this.#acceptAgain, RETRY_MS);
      });
    }
  }

  get #waitsFor(): Scarce | undefined {
    return this.#state.name === "listening" ? this.#state.waitsFor : undefined;
  }

  #wait(what: Scarce, tell: () => void): void {
    this.#parts.socket.pause();
    if (this.#waitsFor === what) return;
    this.#state = { name: "listening", waitsFor: what };
    tell();
  }

  readonly #acceptAgain = () => this.#acceptOrWait();

  #settleHandshakes(): void {
    if (this.#beginning.size === 0 && this.#state.name === "draining") this.events.emit("handshakesOver");
  }

  #settle(): void {
    if (this.#connections.size > 0 || this.#state.name !== "draining") return;
    const { lastEnded } = this.#state;
    this.#state = { name: "ended" };
    this.events.emit("drained");
    lastEnded();
  }
}

function deferred(): { readonly promise: Promise<void>; readonly resolve: () => void } {
  let resolve: () => void = () => undefined;
  const promise = new Promise<void>((done) => {
    resolve = done;
  });
  return { promise, resolve };
}
