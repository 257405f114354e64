/**
 * Connects to the first of several addresses that answers.
 *
 * The addresses are tried in order. If an attempt fails or has not succeeded after 250 ms, the next one starts in
 * parallel. The first to connect wins (RFC 8305). Differs from spiped: there one dead address uses up the whole timeout.
 */

import { closeSync, openSync } from "node:fs";
import { connect, type Socket } from "node:net";
import { codeOf, SpipedError } from "../errors.js";
import { hasBytes, pathBytes } from "../paths.js";
import type { SocketAddress } from "./address.js";
import { type Carrier, type Channel, SocketChannel } from "./channel.js";
import { cancelled, cannotConnect, failureOf, noAnswer } from "./dial-failures.js";
import { type DialOptions, FULL_BACKLOG_DELAY_MS } from "./dial-options.js";
import { dialWithAddon } from "./dial-with-addon.js";
import { keepAlive, resetOnClose } from "./native-socket.js";
import { SocketReader } from "./socket-reader.js";

/** How long to wait for an address before the next one is tried in parallel. */
const ATTEMPT_DELAY_MS = 250;

/** Opens a path without opening the file. Missing in `fs.constants`; the value is the same on all Linux ports of Node. */
const O_PATH = 0x20_0000;

/**
 * Connects to the first address that answers.
 *
 * @throws SpipedError `SPIPED_CONNECT` if every address failed, `SPIPED_TIMEOUT`, `SPIPED_CANCELLED`.
 */
export function dial(options: DialOptions): Promise<Channel & Carrier> {
  const [only, ...others] = options.addresses;
  const { addonSockets, bind } = options;
  if (addonSockets !== undefined && only !== undefined && others.length === 0 && canUseAddon(only, bind)) {
    return dialWithAddon(options, only, addonSockets);
  }
  return new Promise((resolve, reject) => new Race(options, resolve, reject).startNext());
}

/** The addon neither rejects port 0 nor binds to a local address. */
function canUseAddon(address: SocketAddress, bind: DialOptions["bind"]): boolean {
  return address.kind === "unix" || (address.port !== 0 && bind === undefined);
}

class Race {
  readonly #options: DialOptions;
  readonly #waiting: SocketAddress[];
  readonly #running = new Set<Socket>();
  readonly #failures: string[] = [];
  #lastCause: unknown;
  readonly #win: (channel: SocketChannel) => void;
  readonly #lose: (error: SpipedError) => void;
  readonly #deadline: NodeJS.Timeout;
  #nextAttempt: NodeJS.Timeout | undefined;
  #booked = 0;
  readonly #abort = () => this.#end(cancelled());

  constructor(options: DialOptions, win: (channel: SocketChannel) => void, lose: (error: SpipedError) => void) {
    this.#options = options;
    this.#waiting = [...options.addresses];
    this.#win = win;
    this.#lose = lose;
    this.#deadline = setTimeout(() => this.#timeOut(), options.timeoutMs);
    if (options.signal.aborted) this.#abort();
    else options.signal.addEventListener("abort", this.#abort, { once: true });
  }

  startNext(): void {
    clearTimeout(this.#nextAttempt);
    if (this.#running.size > 0 && !this.#options.descriptors.hasRoom) {
      this.#nextAttempt = setTimeout(() => this.startNext(), ATTEMPT_DELAY_MS);
      return;
    }
    const address = this.#waiting.shift();
    if (address === undefined) {
      if (this.#running.size === 0) this.#end(cannotConnect(this.#options, this.#failures, this.#lastCause));
      return;
    }
    if (this.#waiting.length > 0) this.#nextAttempt = setTimeout(() => this.startNext(), ATTEMPT_DELAY_MS);
    this.#attempt(address);
  }

  #attempt(address: SocketAddress): void {
    const { readBuffer, exactLength } = this.#options;
    const reader = new SocketReader(readBuffer, exactLength);
    let socket: Socket;
    try {
      socket = this.#open(address, reader);
    } catch (cause) {
      this.#failed(address, cause);
      return;
    }
    this.#running.add(socket);
    this.#book();
    // Node creates the descriptor when it starts to connect, in a tick that is already queued.
    if (this.#options.resetOnDeath) process.nextTick(() => resetOnClose(socket, true));
    const failed = (cause: Error) => {
      this.#running.delete(socket);
      this.#book();
      this.#failed(address, cause);
    };
    socket.once("error", failed);
    socket.once("connect", () => {
      socket.off("error", failed);
      this.#running.delete(socket);
      if (this.#options.keepAlive) keepAlive(socket);
      const channel = new SocketChannel(socket, reader, this.#options.name);
      channel.resetOnDeath(this.#options.resetOnDeath ?? false);
      reader.attach(socket);
      this.#end(channel);
    });
  }

  #open(address: SocketAddress, reader: SocketReader): Socket {
    const { bind } = this.#options;
    // Paused, so that the socket does not start reading once it has connected.
    if (address.kind === "unix") {
      return withNodePath(address.path, (path) =>
        connect({ path, allowHalfOpen: true, onread: reader.onread }).pause(),
      );
    }
    // Systems report this differently, some only after a while.
    if (address.port === 0) throw new Error("cannot connect to port 0");
    const local = bind?.find((one) => one.family === address.family);
    if (bind !== undefined && local === undefined)
      throw new Error(`there is no local IPv${address.family} address to connect from`);
    return connect({
      host: address.address,
      port: address.port,
      family: address.family,
      ...(local === undefined ? {} : { localAddress: local.address, localPort: local.port }),
      allowHalfOpen: true,
      autoSelectFamily: false,
      noDelay: true,
      onread: reader.onread,
    }).pause();
  }

  /** Books all attempts in progress, except the first. */
  #book(): void {
    const further = Math.max(0, this.#running.size - 1);
    this.#options.descriptors.book(further - this.#booked);
    this.#booked = further;
  }

  #failed(address: SocketAddress, cause: unknown): void {
    if (address.kind === "unix" && codeOf(cause) === "EAGAIN") {
      // A UNIX socket with a full backlog refuses immediately, where TCP would keep trying.
      this.#waiting.unshift(address);
      this.#nextAttempt = setTimeout(() => this.startNext(), FULL_BACKLOG_DELAY_MS);
      return;
    }
    this.#failures.push(failureOf(address, cause));
    this.#lastCause = cause;
    this.startNext();
  }

  #timeOut(): void {
    this.#end(noAnswer(this.#options, this.#failures));
  }

  #end(outcome: SocketChannel | SpipedError): void {
    clearTimeout(this.#deadline);
    clearTimeout(this.#nextAttempt);
    this.#options.signal.removeEventListener("abort", this.#abort);
    this.#waiting.length = 0;
    for (const socket of this.#running) {
      socket.removeAllListeners("connect").removeAllListeners("error");
      socket.on("error", () => undefined).destroy();
    }
    this.#running.clear();
    this.#book();
    if (outcome instanceof SpipedError) this.#lose(outcome);
    else this.#win(outcome);
  }
}

/**
 * Calls `use` with a path that Node accepts. Node takes paths as strings only. A path that is not UTF-8 can only occur on
 * Linux, where `/proc/self/fd` names the same socket while it is open with `O_PATH`.
 */
function withNodePath<T>(path: string, use: (path: string) => T): T {
  if (!hasBytes(path)) return use(path);
  const descriptor = openSync(pathBytes(path), O_PATH);
  try {
    return use(`/proc/self/fd/${descriptor}`);
  } finally {
    closeSync(descriptor);
  }
}
