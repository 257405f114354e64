/**
 * Who may come in, and who has to wait. A client is a stranger until it has shown that it has the key; then it takes one
 * of the tunnel's slots, or waits for one. Strangers have slots of their own, so that they cannot take those of
 * others: where these are used up, the oldest stranger gives way to the next client.
 *
 *     enter → stranger ── admit ──▶ waits ──▶ has a place ── leave
 *
 * Differs from spiped: there a stranger holds one of the slots of `-n` for as long as `-o` allows.
 */

/** Strangers at once. At forty a second, each of them has more than the usual 5 s. */
export const MOST_STRANGERS = 1_024;

/**
 * No stranger gives way sooner: a client on a slow path needs about half of this for the handshake. Until then further
 * clients wait in the backlog.
 */
export const STRANGER_MS = 1_000;

/**
 * Counts a tunnel's clients. The owner calls `enter` for each, `admit` once it is authenticated, and `leave` exactly once
 * at its end. `Client` is whatever the owner keeps of one.
 */
export class ConnectionSlots<Client> {
  readonly #most: number;
  readonly #now: () => number;
  readonly #holders = new Set<Client>();
  /** Oldest first, with what tells each of them that it may go on. */
  readonly #waiting = new Map<Client, () => void>();
  /** Oldest first, with the time at which each came. */
  readonly #strangers = new Map<Client, number>();

  /**
   * @param most - Slots for authenticated clients.
   * @param now - The time in milliseconds.
   */
  constructor(most: number, now: () => number) {
    this.#most = most;
    this.#now = now;
  }

  /** Clients that have a place. */
  get taken(): number {
    return this.#holders.size;
  }

  /** Free slots. */
  get free(): number {
    return this.#most - this.#holders.size;
  }

  /** Whether a client that became known now would have to wait. */
  get isFull(): boolean {
    return this.#holders.size >= this.#most;
  }

  /** Whether another stranger has to push one out. */
  get strangersFull(): boolean {
    return this.#strangers.size >= MOST_STRANGERS;
  }

  /** The stranger who gives way next, and in how many milliseconds at the earliest; undefined where there is none. */
  get oldestStranger(): { readonly client: Client; readonly inMs: number } | undefined {
    for (const [client, cameAt] of this.#strangers) {
      return { client, inMs: Math.max(0, Math.ceil(cameAt + STRANGER_MS - this.#now())) };
    }
    return undefined;
  }

  /** A client of whom nothing is known yet. */
  enter(client: Client): void {
    this.#strangers.set(client, this.#now());
  }

  /**
   * A client that is known.
   *
   * @returns When it has a place, or has left; undefined: it has one now.
   */
  admit(client: Client): Promise<void> | undefined {
    this.#strangers.delete(client);
    if (!this.isFull) {
      this.#holders.add(client);
      return undefined;
    }
    return new Promise((resolve) => this.#waiting.set(client, resolve));
  }

  /** A client that has gone; its place is the next one's. If it waited, it waits no more. */
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
