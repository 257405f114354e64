/**
 * Giving up what has begun: as much of an `AbortController` as a connection needs, without events, which cost each
 * connection more than its handshake's arithmetic.
 */

/** What tells that something is given up; any `AbortSignal` does. */
export interface CancelSignal {
  readonly aborted: boolean;
  readonly reason: unknown;
  throwIfAborted(): void;
  addEventListener(name: "abort", listener: () => void, options?: { readonly once: boolean }): void;
  removeEventListener(name: "abort", listener: () => void): void;
}

/** Gives up once, and tells each listener once. */
export class Cancellation implements CancelSignal {
  readonly #listeners = new Set<() => void>();
  #aborted = false;
  #reason: unknown;

  get aborted(): boolean {
    return this.#aborted;
  }

  get reason(): unknown {
    return this.#reason;
  }

  throwIfAborted(): void {
    if (this.#aborted) throw this.#reason;
  }

  addEventListener(_name: "abort", listener: () => void): void {
    this.#listeners.add(listener);
  }

  removeEventListener(_name: "abort", listener: () => void): void {
    this.#listeners.delete(listener);
  }

  /** Gives up, for this reason; once it has, nothing more happens. */
  abort(reason: unknown): void {
    if (this.#aborted) return;
    this.#aborted = true;
    this.#reason = reason;
    const listeners = [...this.#listeners];
    this.#listeners.clear();
    for (const listener of listeners) listener();
  }
}
