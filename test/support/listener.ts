// A server for tests: connections are queued until the test takes them.

import { createServer, type Server } from "node:net";
import type { TestContext } from "node:test";
import { type Address, type AddressKind, freeAddress, socketOptionsOf, textOf } from "./addresses.js";
import { afterwards, within } from "./cleanup.js";
import { TestSocket } from "./test-socket.js";

/** Accepts all connections and counts them. */
export class Listener {
  readonly address: Address;
  readonly #server: Server;
  #waiting: TestSocket[] = [];
  #wake: Array<() => void> = [];
  #acceptedCount = 0;
  #handle: ((socket: TestSocket) => unknown) | undefined;

  private constructor(t: TestContext, address: Address, server: Server) {
    this.address = address;
    this.#server = server;
    server.on("connection", (socket) => {
      this.#acceptedCount += 1;
      afterwards(t, () => socket.destroy());
      const accepted = new TestSocket(socket, address.kind);
      if (this.#handle !== undefined) {
        this.#handle(accepted);
        return;
      }
      this.#waiting.push(accepted);
      for (const resolve of this.#wake.splice(0)) resolve();
    });
  }

  /** Listens on a free address. */
  static async listen(t: TestContext, kind: AddressKind): Promise<Listener> {
    for (;;) {
      const listener = await Listener.#listenUnlessTaken(t, await freeAddress(t, kind));
      if (listener !== undefined) return listener;
    }
  }

  /** Listens on a given address. */
  static async listenAt(t: TestContext, address: Address): Promise<Listener> {
    const listener = await Listener.#listenUnlessTaken(t, address);
    if (listener === undefined) throw new Error(`somebody listens on ${textOf(address)} already`);
    return listener;
  }

  static async #listenUnlessTaken(t: TestContext, address: Address): Promise<Listener | undefined> {
    const server = createServer({ allowHalfOpen: true });
    const listening = await new Promise<boolean>((resolve, reject) => {
      server.once("error", (error: NodeJS.ErrnoException) => {
        if (error.code === "EADDRINUSE") resolve(false);
        else reject(error);
      });
      server.listen({ ...socketOptionsOf(address), backlog: 511 }, () => resolve(true));
    });
    if (!listening) return undefined;
    const listener = new Listener(t, address, server);
    afterwards(t, () => server.close());
    return listener;
  }

  /** Number of connections so far. */
  get acceptedCount(): number {
    return this.#acceptedCount;
  }

  /** The next connection, in order of arrival. */
  async next(): Promise<TestSocket> {
    const wait = async (): Promise<TestSocket> => {
      for (;;) {
        const socket = this.#waiting.shift();
        if (socket !== undefined) return socket;
        await new Promise<void>((resolve) => this.#wake.push(resolve));
      }
    };
    return within(wait(), "a connection to arrive");
  }

  /** Passes every further connection to `handle` instead of queueing it for `next`. */
  onConnection(handle: (socket: TestSocket) => unknown): void {
    this.#handle = handle;
    for (const socket of this.#waiting.splice(0)) handle(socket);
  }

  /** From now on echoes each connection's data, and ends when it ends. */
  echo(): void {
    this.onConnection(({ socket }) => {
      socket.removeAllListeners("data");
      socket.pipe(socket);
    });
  }

  /** Stops listening, so that the address refuses connections; existing ones continue. */
  close(): void {
    // The callback would wait for the connections too; the listening socket itself is closed at once.
    this.#server.close();
  }

  /** Listens on the same address again. */
  async listenAgain(): Promise<void> {
    const listening = new Promise<void>((resolve, reject) => {
      this.#server.once("error", reject);
      this.#server.listen(socketOptionsOf(this.address), resolve);
    });
    await within(listening, "to listen again");
  }
}
