/**
 * The HTTP server of `--status`, limited so that it cannot starve the tunnels: few concurrent connections, one request and a
 * few seconds for each, and a limit on new connections per second. A new connection beyond the first limit closes the oldest
 * one; beyond the second it waits in the backlog. An error closes one connection, and never crashes the process.
 */

import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { Socket } from "node:net";
import { type Clock, systemClock } from "../clock.js";
import type { SocketAddress } from "../net/address.js";
import { ListeningSocket } from "../net/listening-socket.js";
import { type Answering, answerTo } from "./answers.js";
import { TextCache } from "./text-cache.js";

/** Concurrent connections; one more closes the oldest. */
export const MAX_CONNECTIONS = 32;

/** Descriptors that the server can have open: its connections, one more that was just accepted, and the listening socket. */
export const STATUS_DESCRIPTORS = MAX_CONNECTIONS + 3;

/** Connections to accept per second; further clients wait. */
const MAX_PER_SECOND = 100;

/** How long a connection may last. */
const MAX_AGE_MS = 10_000;

const MAX_HEADER_BYTES = 8_192;

/** Permissions of a UNIX socket, whatever the umask: owner and group. */
const SOCKET_MODE = 0o660;

/** When to retry after accepting failed. */
const RETRY_MS = 1_000;

/** Options of a server. */
export interface StatusServerOptions {
  readonly address: SocketAddress;
  readonly answering: Pick<Answering, "source" | "page">;
  /** Called on an error; the server goes on. */
  readonly failed: (error: unknown) => void;
  readonly clock?: Clock;
}

/** A listening status server. */
export class StatusServer {
  readonly #socket: ListeningSocket;
  readonly #http: Server;
  readonly #answering: Answering;
  readonly #failed: (error: unknown) => void;
  readonly #clock: Clock;
  /** Oldest first. */
  readonly #open = new Set<Socket>();
  readonly #asked = new WeakSet<Socket>();
  #acceptedThisSecond = 0;
  #isClosed = false;

  private constructor({ address, answering, failed, clock = systemClock }: StatusServerOptions) {
    this.#answering = { ...answering, texts: new TextCache(() => clock.now()), checksHost: isLoopback(address) };
    this.#failed = failed;
    this.#clock = clock;
    this.#http = createServer({ maxHeaderSize: MAX_HEADER_BYTES }, (request, response) => {
      this.#answer(request, response);
    });
    // Without these listeners, Node.js would send an interim or error response of its own.
    for (const event of ["checkContinue", "checkExpectation"] as const) {
      this.#http.on(event, (request: IncomingMessage, response: ServerResponse) => this.#answer(request, response));
    }
    this.#http.on("error", failed);
    this.#socket = ListeningSocket.listen(address, SOCKET_MODE);
    this.#socket.attach({ accepted: ({ socket }) => this.#accepted(socket), failed }, false);
  }

  /**
   * Binds and listens; clients wait until `accept`.
   *
   * @throws SpipedError `SPIPED_LISTEN`.
   */
  static listen(options: StatusServerOptions): StatusServer {
    return new StatusServer(options);
  }

  /** Changes the owner, as `ListeningSocket` does. */
  give(user: number | undefined, group: number | undefined): boolean {
    return this.#socket.give(user, group);
  }

  /** Begins to accept. */
  async accept(): Promise<void> {
    await this.#socket.accept();
  }

  /** The listening address, with its actual port. */
  get address(): SocketAddress {
    return this.#socket.address;
  }

  /** Closes all connections, and removes the file of a UNIX socket. */
  close(): void {
    this.#isClosed = true;
    this.#socket.close();
    this.#http.close();
    for (const socket of this.#open) socket.destroy();
  }

  #accepted(socket: Socket): void {
    this.#countAccepted();
    if (this.#open.size >= MAX_CONNECTIONS) {
      const [oldest] = this.#open;
      if (oldest !== undefined) this.#forget(oldest);
    }
    this.#open.add(socket);
    const cancelTimer = this.#clock.later(() => this.#forget(socket), MAX_AGE_MS);
    socket.on("error", () => undefined);
    socket.on("close", () => {
      cancelTimer();
      this.#open.delete(socket);
    });
    this.#http.emit("connection", socket);
    // Sockets are accepted paused.
    socket.resume();
  }

  #forget(socket: Socket): void {
    this.#open.delete(socket);
    socket.destroy();
  }

  #countAccepted(): void {
    if (this.#acceptedThisSecond === 0) this.#clock.later(() => this.#nextSecond(), 1_000);
    this.#acceptedThisSecond += 1;
    if (this.#acceptedThisSecond === MAX_PER_SECOND) this.#socket.pause();
  }

  #nextSecond(): void {
    const waited = this.#acceptedThisSecond >= MAX_PER_SECOND;
    this.#acceptedThisSecond = 0;
    if (waited) this.#acceptAgain();
  }

  #acceptAgain(): void {
    if (this.#isClosed) return;
    this.#socket.accept().catch((error: unknown) => {
      this.#failed(error);
      this.#clock.later(() => this.#acceptAgain(), RETRY_MS);
    });
  }

  #answer(request: IncomingMessage, response: ServerResponse): void {
    // Ignore pipelined requests after the first.
    if (this.#asked.has(request.socket)) return;
    this.#asked.add(request.socket);
    const { method, url, headersDistinct } = request;
    try {
      const {
        status,
        headers: answered,
        body,
      } = answerTo({ method, url, hosts: headersDistinct["host"] }, this.#answering);
      response.writeHead(status, answered).end(body);
    } catch (error) {
      this.#failed(error);
      request.socket.destroy();
    }
  }
}

/** Whether only this machine, browsers included, can connect. False for UNIX sockets, which browsers cannot use. */
export function isLoopback(address: SocketAddress): boolean {
  return address.kind === "tcp" && /^(?:127\.|::1$|::ffff:127\.)/.test(address.address);
}
