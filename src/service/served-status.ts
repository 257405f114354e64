/**
 * The status server of a service: resolve, listen, start, close. The service calls these steps.
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
import { Collector, type ReloadSource } from "../status/collector.js";
import { loadPage } from "../status/page.js";
import { isLoopback, STATUS_DESCRIPTORS, StatusServer } from "../status/server.js";
import type { Build } from "../status/snapshot.js";

/** The status server and its collector. */
export class ServedStatus {
  /** Observes the tunnels. */
  readonly collector: Collector;
  readonly #address: Address;
  readonly #log: Log;
  /** How many descriptors to reserve. */
  readonly descriptors = STATUS_DESCRIPTORS;
  #resolved: SocketAddress | undefined;
  #server: StatusServer | undefined;
  #lastFailureAt = Number.NEGATIVE_INFINITY;

  constructor(address: Address, build: Build, log: Log, reloads: ReloadSource) {
    this.#address = address;
    this.#log = log;
    this.collector = new Collector({ build, reloads });
  }

  /**
   * Resolves the address.
   *
   * @throws SpipedError as `resolve` does.
   */
  async lookup(): Promise<void> {
    [this.#resolved] = await resolve(this.#address);
  }

  /**
   * Listens; clients wait in the backlog until `start`. Call `lookup` first.
   *
   * @throws SpipedError `SPIPED_LISTEN`.
   */
  listen(): void {
    if (this.#resolved === undefined || this.#server !== undefined) return;
    const answering = { source: this.collector, page: loadPage() };
    const failed = (error: unknown) => this.#logFailure(error);
    this.#server = StatusServer.listen({ address: this.#resolved, answering, failed });
  }

  /** Changes the owner of a UNIX socket, before the process changes its user; undefined leaves it as it is. */
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
   * Begins to accept.
   *
   * @throws SpipedError `SPIPED_LISTEN`.
   */
  async start(): Promise<void> {
    await this.#server?.accept();
  }

  /** Logs where the server listens. */
  sayListening(): void {
    const address = this.#server?.address;
    if (address === undefined) return;
    this.#log.write(statusListeningEntry(formatAddress(address)));
    if (address.kind === "unix" || isLoopback(address)) return;
    this.#log.write(statusExposedEntry(formatAddress(address)));
  }

  /** Reports that the process is shutting down, and keeps answering. */
  stopping(): void {
    this.collector.stopping();
  }

  /** Stops, and removes the file of a UNIX socket. */
  close(): void {
    this.collector.close();
    this.#server?.close();
    this.#server = undefined;
  }

  /** At most once a minute, so that clients cannot flood the log. */
  #logFailure(error: unknown): void {
    const now = performance.now();
    if (now - this.#lastFailureAt < 60_000) return;
    this.#lastFailureAt = now;
    this.#log.write(statusFailedEntry(messageOf(error)));
  }
}
