/**
 * Connects to a single address through the addon, without a `net.Socket`; see addon-sockets.ts.
 */

import { codeOf, type SpipedError } from "../errors.js";
import { AddonChannel } from "./addon-channel.js";
import type { AddonSockets } from "./addon-sockets.js";
import type { SocketAddress } from "./address.js";
import { cancelled, cannotConnect, failureOf, noAnswer } from "./dial-failures.js";
import { type DialOptions, FULL_BACKLOG_DELAY_MS } from "./dial-options.js";

/** Does what `dial` does for a single address. */
export function dialWithAddon(
  options: DialOptions,
  address: SocketAddress,
  sockets: AddonSockets,
): Promise<AddonChannel> {
  return new Promise((resolve, reject) => new Attempt(options, address, sockets, resolve, reject).start());
}

class Attempt {
  readonly #options: DialOptions;
  readonly #address: SocketAddress;
  readonly #sockets: AddonSockets;
  readonly #win: (channel: AddonChannel) => void;
  readonly #lose: (error: SpipedError) => void;
  #deadline: NodeJS.Timeout | undefined;
  #again: NodeJS.Timeout | undefined;
  #id: number | undefined;
  readonly #abort = () => this.#fail(cancelled());

  constructor(
    options: DialOptions,
    address: SocketAddress,
    sockets: AddonSockets,
    win: (channel: AddonChannel) => void,
    lose: (error: SpipedError) => void,
  ) {
    this.#options = options;
    this.#address = address;
    this.#sockets = sockets;
    this.#win = win;
    this.#lose = lose;
  }

  start(): void {
    const { signal, timeoutMs } = this.#options;
    if (signal.aborted) {
      this.#lose(cancelled());
      return;
    }
    signal.addEventListener("abort", this.#abort, { once: true });
    this.#deadline = setTimeout(() => this.#fail(noAnswer(this.#options, [])), timeoutMs);
    this.#connect();
  }

  #connect(): void {
    const { keepAlive, resetOnDeath = false } = this.#options;
    try {
      this.#id = this.#sockets.connect(this.#address, { keepAlive, resetOnDeath }, this);
    } catch (cause) {
      // A UNIX socket with a full backlog refuses immediately, where TCP would keep trying.
      if (this.#address.kind === "unix" && codeOf(cause) === "EAGAIN") {
        this.#again = setTimeout(() => this.#connect(), FULL_BACKLOG_DELAY_MS);
      } else this.failed(cause);
    }
  }

  connected(id: number): void {
    const { name: peer, exactLength, readBuffer, resetOnDeath = false } = this.#options;
    this.#settle();
    this.#win(new AddonChannel({ sockets: this.#sockets, id, peer, exactLength, readBuffer, resetOnDeath }));
  }

  failed(cause: unknown): void {
    this.#fail(cannotConnect(this.#options, [failureOf(this.#address, cause)], cause));
  }

  #fail(error: SpipedError): void {
    this.#settle();
    if (this.#id !== undefined) this.#sockets.close(this.#id, false);
    this.#lose(error);
  }

  #settle(): void {
    clearTimeout(this.#deadline);
    clearTimeout(this.#again);
    this.#options.signal.removeEventListener("abort", this.#abort);
  }
}
