/**
 * Admission control. A client is a stranger until it has proved that it has the key; then it takes one of the tunnel's
 * connection slots, or waits for one. Strangers have separate slots, so that they cannot exhaust those of authenticated
 * clients. When all stranger slots are taken, the oldest stranger is dropped for the next client.
 *
 *     enter → stranger ── admit ──▶ waiting ──▶ has a slot ── leave
 *
 * Differs from spiped: there a stranger takes one of the slots of `-n` for as long as `-o` allows.
 */

/** Maximum number of strangers. Up to 200 new ones a second, each has the usual 5 s. */
export const MOST_STRANGERS = 1_024;

/**
 * A stranger is never dropped before this: a client on a slow path needs about half of it for the handshake. Until
 * then, further clients wait in the backlog.
 */
export const STRANGER_MS = 1_000;

/**
 * Counts a tunnel's clients. The owner calls `enter` for each, `admit` once it is authenticated, and `leave` exactly
 * once when it ends. `Client` is the owner's type for one.
 */
export class ConnectionSlots<Client> {
  readonly #most: number;
  readonly #now: () => number;
  readonly #holders = new Set<Client>();
  /** Oldest first, with the callback that lets each continue. */
  readonly #waiting = new Map<Client, () => void>();
  /** Oldest first, with the time of arrival. */
  readonly #strangers = new Map<Client, number>();

  /**
   * @param most - Slots for authenticated clients.
   * @param now - The time in milliseconds.
   */
  constructor(most: number, now: () => number) {
    this.#most = most;
    this.#now = now;
  }

  /** Number of clients that have a slot. */
  get taken(): number {
    return this.#holders.size;
  }

  /** Free slots. */
  get free(): number {
    return this.#most - this.#holders.size;
  }

  /** Whether a newly authenticated client would have to wait. */
  get isFull(): boolean {
    return this.#holders.size >= this.#most;
  }

  /** Whether the next stranger has to replace one. */
  get strangersFull(): boolean {
    return this.#strangers.size >= MOST_STRANGERS;
  }

  /** The next stranger to drop, and the earliest time for it, in milliseconds from now; undefined if there is none. */
  get oldestStranger(): { readonly client: Client; readonly inMs: number } | undefined {
    for (const [client, cameAt] of this.#strangers) {
      return { client, inMs: Math.max(0, Math.ceil(cameAt + STRANGER_MS - this.#now())) };
    }
    return undefined;
  }

  /** A client that has not authenticated yet. */
  enter(client: Client): void {
    this.#strangers.set(client, this.#now());
  }

  /**
   * A client that has authenticated.
   *
   * @returns Resolves when it has a slot or has left; undefined if it has a slot now.
   */
  admit(client: Client): Promise<void> | undefined {
    this.#strangers.delete(client);
    if (!this.isFull) {
      this.#holders.add(client);
      return undefined;
    }
    return new Promise((resolve) => this.#waiting.set(client, resolve));
  }

  /** A client that has disconnected. Frees its slot for the next one, and ends its wait. */
  leave(client: Client): void {
    this.#strangers.delete(client);
    this.#waiting.get(client)?.();
    this.#waiting.delete(client);
    this.#holders.delete(client);
    if (this.isFull) return;
    for (const [next, goOn] of this.#waiting) {
      this.#waiting.delete(next);
      this.#holders.add(next);
      goOn();
      return;
    }
  }
}
