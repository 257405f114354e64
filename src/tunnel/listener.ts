/**
 * A tunnel: accepts clients, lets as many connections run as the limit allows, and ends them all.
 *
 * It reports what happens and does not know who listens.
 */

import type { TunnelConfig } from "../config/tunnel-config.js";
import type { SpipedError } from "../errors.js";
import { formatAddress, type SocketAddress, type TcpAddress } from "../net/address.js";
import { SocketChannel } from "../net/channel.js";
import { type Accepted, ListeningSocket } from "../net/listening-socket.js";
import { SocketReader } from "../net/socket-reader.js";
import { StreamReader } from "../net/stream-reader.js";
import { HANDSHAKE_LENGTH } from "../protocol/constants.js";
import type { SharedKey } from "../protocol/secret.js";
import { Connection, type ConnectionReport } from "./connection.js";
import { cleartextMemory, packetMemory } from "./memory.js";

/** What a tunnel reports. */
export interface TunnelEvents {
  connectionEnded(report: ConnectionReport): void;
  /** As many connections as the limit allows are open; further clients wait. */
  limitReached(maxConnections: number): void;
  /** Something is wrong with listening; the tunnel goes on. */
  listenFailed(error: SpipedError): void;
}

/** What a tunnel is made of, besides its configuration. */
export interface TunnelParts {
  readonly key: SharedKey;
  /** Where to listen: the source, looked up. */
  readonly source: SocketAddress;
  /** Where to dial: the target, looked up. */
  readonly targets: readonly SocketAddress[];
  /** `-b`, looked up. */
  readonly bind: readonly TcpAddress[] | undefined;
  readonly events: TunnelEvents;
}

/** See the head of this file. */
export class Tunnel {
  readonly #config: TunnelConfig;
  readonly #parts: TunnelParts;
  readonly #connections = new Set<Connection>();
  readonly #socket: ListeningSocket;
  #accepting = true;
  #drained: (() => void) | undefined;

  private constructor(config: TunnelConfig, parts: TunnelParts) {
    this.#config = config;
    this.#parts = parts;
    const { readBuffer } = config.role === "encrypt" ? cleartextMemory : packetMemory;
    this.#socket = ListeningSocket.listen(parts.source, {
      createReader: () => new SocketReader(readBuffer, this.#exactLength),
      accepted: (client) => this.#accepted(client),
      failed: (error) => parts.events.listenFailed(error),
    });
  }

  /**
   * Binds, listens and begins to accept.
   *
   * @throws SpipedError `SPIPED_LISTEN`.
   */
  static async start(config: TunnelConfig, parts: TunnelParts): Promise<Tunnel> {
    const tunnel = new Tunnel(config, parts);
    await tunnel.#socket.accept();
    return tunnel;
  }

  /** Where clients connect, with the port that the system chose. */
  get address(): SocketAddress {
    return this.#socket.address;
  }

  /** Connections that are open. */
  get connections(): number {
    return this.#connections.size;
  }

  /** Closes the listening socket; resolves when the last connection has ended. */
  drain(): Promise<void> {
    this.#accepting = false;
    this.#socket.close();
    return new Promise((resolve) => {
      this.#drained = resolve;
      this.#settle();
    });
  }

  /** Ends all connections at once. */
  cancel(): void {
    for (const connection of [...this.#connections]) connection.cancel();
  }

  get #exactLength(): number {
    return this.#config.role === "encrypt" ? 0 : HANDSHAKE_LENGTH;
  }

  #accepted({ socket, reader }: Accepted): void {
    const { role, target, forwardSecrecy, keepAlive, timeoutMs, maxConnections } = this.#config;
    socket.setNoDelay(true);
    if (keepAlive) socket.setKeepAlive(true);
    const peer =
      socket.remoteAddress === undefined
        ? formatAddress(this.#socket.address)
        : `[${socket.remoteAddress}]:${socket.remotePort}`;
    const channel = new SocketChannel(socket, reader ?? new StreamReader(socket, this.#exactLength), peer);
    const connection = new Connection({
      role,
      source: channel,
      targets: this.#parts.targets,
      targetName: formatAddress(target),
      bind: this.#parts.bind,
      key: this.#parts.key,
      forwardSecrecy,
      keepAlive,
      timeoutMs,
      ended: (report) => {
        this.#connections.delete(connection);
        this.#parts.events.connectionEnded(report);
        this.#connectionEnded();
      },
    });
    this.#connections.add(connection);
    if (this.#connections.size >= maxConnections) {
      this.#socket.pause();
      this.#parts.events.limitReached(maxConnections);
    }
  }

  #connectionEnded(): void {
    this.#settle();
    if (!this.#accepting || this.#connections.size >= this.#config.maxConnections) return;
    this.#socket.accept().catch((error: SpipedError) => this.#parts.events.listenFailed(error));
  }

  #settle(): void {
    if (this.#connections.size === 0) this.#drained?.();
  }
}
