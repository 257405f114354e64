/**
 * Answers over HTTP, and takes nothing from the tunnels for it: few connections at once, each for one question and for a
 * few seconds, and not many of them in a second. Whoever comes beyond that pushes the oldest out, or waits in the backlog.
 * Whatever goes wrong here ends one connection, and never the process.
 */

import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { Socket } from "node:net";
import { type Clock, systemClock } from "../clock.js";
import type { SocketAddress } from "../net/address.js";
import { ListeningSocket } from "../net/listening-socket.js";
import { type Answering, answerTo } from "./answers.js";
import { KeptTexts } from "./kept-texts.js";

/** Connections at once; with one more, the oldest is closed. */
export const MOST_CONNECTIONS = 32;

/** Descriptors that the server may have open: its connections, one that comes while they are full, and what listens. */
export const STATUS_DESCRIPTORS = MOST_CONNECTIONS + 3;

/** Connections that are accepted in one second; further clients wait. */
const MOST_PER_SECOND = 100;

/** Time for a question and its answer. */
const LIFE_MS = 10_000;

const MOST_HEADER_BYTES = 8_192;

/** Permissions of the file where the status is on a UNIX socket, whatever the umask: for the owner and the group. */
const SOCKET_MODE = 0o660;

/** Time until accepting is tried again where it failed. */
const RETRY_MS = 1_000;

/** What a server is made of. */
export interface StatusServerOptions {
  readonly address: SocketAddress;
  readonly answering: Pick<Answering, "source" | "page">;
  /** Something is wrong; the server goes on. */
  readonly failed: (error: unknown) => void;
  readonly clock?: Clock;
}

/** See the head of this file. */
export class StatusServer {
  readonly #socket: ListeningSocket;
  readonly #http: Server;
  readonly #answering: Answering;
  readonly #failed: (error: unknown) => void;
  readonly #clock: Clock;
  /** The oldest first. */
  readonly #open = new Set<Socket>();
  readonly #asked = new WeakSet<Socket>();
  #acceptedThisSecond = 0;
  #isClosed = false;

  private constructor({ address, answering, failed, clock = systemClock }: StatusServerOptions) {
    this.#answering = { ...answering, texts: new KeptTexts(() => clock.now()), checksHost: isLoopback(address) };
    this.#failed = failed;
    this.#clock = clock;
    this.#http = createServer({ maxHeaderSize: MOST_HEADER_BYTES }, (request, response) => {
      this.#answer(request, response);
    });
    // The answer comes at once, whatever is asked for before it: each of these would be an answer more.
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

  /** As `ListeningSocket` does. */
  give(user: number | undefined, group: number | undefined): boolean {
    return this.#socket.give(user, group);
  }

  /** Begins to answer. */
  async accept(): Promise<void> {
    await this.#socket.accept();
  }

  /** Where it listens, with the port that the system chose. */
  get address(): SocketAddress {
    return this.#socket.address;
  }

  /** Ends all connections. A UNIX socket's file is removed. */
  close(): void {
    this.#isClosed = true;
    this.#socket.close();
    this.#http.close();
    for (const socket of this.#open) socket.destroy();
  }

  #accepted(socket: Socket): void {
    this.#countAccepted();
    if (this.#open.size >= MOST_CONNECTIONS) {
      const [oldest] = this.#open;
      if (oldest !== undefined) this.#forget(oldest);
    }
    this.#open.add(socket);
    const callOff = this.#clock.later(() => this.#forget(socket), LIFE_MS);
    socket.on("error", () => undefined);
    socket.on("close", () => {
      callOff();
      this.#open.delete(socket);
    });
    this.#http.emit("connection", socket);
    // It came paused.
    socket.resume();
  }

  #forget(socket: Socket): void {
    this.#open.delete(socket);
    socket.destroy();
  }

  #countAccepted(): void {
    if (this.#acceptedThisSecond === 0) this.#clock.later(() => this.#nextSecond(), 1_000);
    this.#acceptedThisSecond += 1;
    if (this.#acceptedThisSecond === MOST_PER_SECOND) this.#socket.pause();
  }

  #nextSecond(): void {
    const waited = this.#acceptedThisSecond >= MOST_PER_SECOND;
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
    // What is asked after the first question ends with the connection.
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

/** Whether only this machine gets there, which includes the browsers on it. A UNIX socket is none of a browser's. */
export function isLoopback(address: SocketAddress): boolean {
  return address.kind === "tcp" && /^(?:127\.|::1$|::ffff:127\.)/.test(address.address);
}
