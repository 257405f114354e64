/**
 * Measures a connection's handshake and limits its time. The limit is suspended while an authenticated client waits for a
 * connection slot: it may wait as long as it likes, as in the backlog, but has to stay connected.
 */

import { SpipedError } from "../errors.js";
import type { Channel } from "../net/channel.js";

/** How often to check whether a client that waits for a connection slot has disconnected. */
const WAITING_CHECK_MS = 1_000;

/** The timer of one handshake. */
export class HandshakeTimer {
  readonly #limitMs: number;
  readonly #client: Pick<Channel, "hasEnded">;
  readonly #failed: (error: SpipedError) => void;
  #timer: NodeJS.Timeout | undefined;
  #startedAt = 0;
  /** When the client began to wait for a slot; undefined if it is not waiting. */
  #waitingSince: number | undefined;
  #durationMs: number | undefined;

  /**
   * @param client - The side to watch during `suspend`.
   * @param failed - Called when the time is up, or the client has disconnected while it waited. Must call `stop`.
   */
  constructor(limitMs: number, client: Pick<Channel, "hasEnded">, failed: (error: SpipedError) => void) {
    this.#limitMs = limitMs;
    this.#client = client;
    this.#failed = failed;
  }

  /** How long the handshake took, without the wait for a slot; undefined until `finish`. */
  get durationMs(): number | undefined {
    return this.#durationMs;
  }

  start(): void {
    this.#startedAt = performance.now();
    this.#limit();
  }

  /** Replaces the time limit while the client waits for a slot. */
  suspend(): void {
    this.#waitingSince = performance.now();
    this.#watch(this.#waitingSince);
  }

  /** The client's wait is over. @returns False if it has disconnected, or `stop` was called. */
  resume(): boolean {
    const since = this.#waitingSince;
    if (since === undefined || !this.#isStillConnected(since)) return false;
    this.#waitingSince = undefined;
    this.#startedAt += performance.now() - since;
    clearTimeout(this.#timer);
    this.#limit();
    return true;
  }

  /** The handshake is complete. */
  finish(): void {
    clearTimeout(this.#timer);
    this.#durationMs = performance.now() - this.#startedAt;
  }

  /** The connection has ended. */
  stop(): void {
    clearTimeout(this.#timer);
    this.#waitingSince = undefined;
  }

  #limit(): void {
    this.#timer = setTimeout(() => {
      this.#failed(new SpipedError("SPIPED_TIMEOUT", `handshake not finished after ${this.#limitMs / 1_000} s`));
    }, this.#limitMs);
  }

  #watch(since: number): void {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => {
      if (this.#isStillConnected(since)) this.#watch(since);
    }, WAITING_CHECK_MS);
  }

  /** Nothing is read from a waiting client, so its socket has to be polled. */
  #isStillConnected(since: number): boolean {
    if (this.#client.hasEnded?.() !== true) return true;
    const seconds = ((performance.now() - since) / 1_000).toFixed(1);
    this.#failed(
      new SpipedError("SPIPED_TIMEOUT", `the client disconnected after waiting ${seconds} s for a connection slot`),
    );
    return false;
  }
}
