// A listening socket of the product whose clients the test takes one by one.

import assert from "node:assert/strict";
import { join } from "node:path";
import type { TestContext } from "node:test";
import type { SpipedError } from "#dist/errors.js";
import type { Accepted, AcceptHandlers } from "#dist/net/accepted.js";
import type { SocketAddress } from "#dist/net/address.js";
import { ListeningSocket } from "#dist/net/listening-socket.js";
import { createReadBuffer, SocketReader } from "#dist/net/socket-reader.js";
import type { Address } from "../../support/addresses.js";
import { afterwards, temporaryFolder, within } from "../../support/cleanup.js";

export type Kind = "tcp" | "tcp6" | "unix";

/** A listening socket whose clients the test takes one by one. */
export class Clients {
  readonly failures: SpipedError[] = [];
  readonly listening: ListeningSocket;
  onAccepted: () => void = () => undefined;
  #waiting: Accepted[] = [];
  #count = 0;
  #wake: Array<() => void> = [];

  constructor(t: TestContext, address: SocketAddress, exactLength: number, resetOnDeath = false) {
    this.listening = ListeningSocket.listen(address, undefined);
    const handlers: AcceptHandlers = {
      createReader: () => new SocketReader(createReadBuffer(), exactLength),
      accepted: (client) => {
        afterwards(t, () => client.socket.destroy());
        this.#waiting.push(client);
        this.#count += 1;
        this.onAccepted();
        for (const resolve of this.#wake.splice(0)) resolve();
      },
      failed: (error) => this.failures.push(error),
    };
    this.listening.attach(handlers, resetOnDeath);
    afterwards(t, () => this.listening.close());
  }

  static async listen(t: TestContext, kind: Kind, exactLength = 0, resetOnDeath = false): Promise<Clients> {
    return new Clients(t, await addressOf(t, kind), exactLength, resetOnDeath);
  }

  get count(): number {
    return this.#count;
  }

  /** Where a client connects. */
  get address(): Address {
    const { address } = this.listening;
    if (address.kind === "unix") return address;
    assert.ok(address.address === "127.0.0.1" || address.address === "::1");
    return { kind: "tcp", host: address.address, port: address.port };
  }

  async next(): Promise<Accepted> {
    const wait = async (): Promise<Accepted> => {
      for (;;) {
        const client = this.#waiting.shift();
        if (client !== undefined) return client;
        await new Promise<void>((resolve) => this.#wake.push(resolve));
      }
    };
    return within(wait(), "a client");
  }
}

async function addressOf(t: TestContext, kind: Kind): Promise<SocketAddress> {
  switch (kind) {
    case "tcp":
      return { kind: "tcp", family: 4, address: "127.0.0.1", port: 0 };
    case "tcp6":
      return { kind: "tcp", family: 6, address: "::1", port: 0 };
    case "unix":
      return { kind: "unix", path: join(await temporaryFolder(t), "s") };
  }
}
