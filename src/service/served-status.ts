/**
 * The status of a service over HTTP, from the words of `--status` to its end. Who calls the steps is the service's.
 */

import { messageOf } from "../errors.js";
import { type Address, formatAddress, type SocketAddress } from "../net/address.js";
import { resolve } from "../net/resolver.js";
import type { Log } from "../observe/log.js";
import {
  statusExposedEntry,
  statusFailedEntry,
  statusListeningEntry,
  statusOwnerEntry,
} from "../observe/service-entries.js";
import { Collector } from "../status/collector.js";
import { loadPage } from "../status/page.js";
import { isLoopback, STATUS_DESCRIPTORS, StatusServer } from "../status/server.js";
import type { Build } from "../status/snapshot.js";

/** See the head of this file. */
export class ServedStatus {
  /** Watches the tunnels. */
  readonly collector: Collector;
  readonly #address: Address;
  readonly #log: Log;
  /** How many it may have open. */
  readonly descriptors = STATUS_DESCRIPTORS;
  #lookedUp: SocketAddress | undefined;
  #server: StatusServer | undefined;
  #saidAt = Number.NEGATIVE_INFINITY;

  constructor(address: Address, build: Build, log: Log) {
    this.#address = address;
    this.#log = log;
    this.collector = new Collector({ build });
  }

  /**
   * Looks its address up.
   *
   * @throws SpipedError as `resolve` does.
   */
  async lookUp(): Promise<void> {
    [this.#lookedUp] = await resolve(this.#address);
  }

  /**
   * Listens; clients wait in the backlog until `start`. To be called when the address is there.
   *
   * @throws SpipedError `SPIPED_LISTEN`.
   */
  listen(): void {
    if (this.#lookedUp === undefined || this.#server !== undefined) return;
    const answering = { source: this.collector, page: loadPage() };
    const failed = (error: unknown) => this.#sayFailed(error);
    this.#server = StatusServer.listen({ address: this.#lookedUp, answering, failed });
  }

  /** Gives a UNIX socket's file to whom the process is about to become; undefined stays as it is. */
  give(user: number | undefined, group: number | undefined): void {
    let why = "this system has no safe way to do that";
    try {
      if (this.#server?.give(user, group) !== false) return;
    } catch (error) {
      why = messageOf(error);
    }
    this.#log.write(statusOwnerEntry(why));
  }

  /**
   * Begins to answer.
   *
   * @throws SpipedError `SPIPED_LISTEN`.
   */
  async start(): Promise<void> {
    await this.#server?.accept();
  }

  /** Says where it is. */
  sayListening(): void {
    const address = this.#server?.address;
    if (address === undefined) return;
    this.#log.write(statusListeningEntry(formatAddress(address)));
    if (address.kind === "unix" || isLoopback(address)) return;
    this.#log.write(statusExposedEntry(formatAddress(address)));
  }

  /** Answers that the process is about to end, and goes on answering. */
  stopping(): void {
    this.collector.stopping();
  }

  /** Answers no more, and leaves no file behind. */
  close(): void {
    this.collector.close();
    this.#server?.close();
    this.#server = undefined;
  }

  /** Once in a while: who asks again and again must not fill the log. */
  #sayFailed(error: unknown): void {
    const now = performance.now();
    if (now - this.#saidAt < 60_000) return;
    this.#saidAt = now;
    this.#log.write(statusFailedEntry(messageOf(error)));
  }
}
