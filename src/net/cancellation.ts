/**
 * A minimal `AbortController`: no DOM events, which would cost each connection more than the arithmetic of its handshake.
 */

/** A signal to cancel something; any `AbortSignal` qualifies. */
export interface CancelSignal {
  readonly aborted: boolean;
  readonly reason: unknown;
  throwIfAborted(): void;
  addEventListener(name: "abort", listener: () => void, options?: { readonly once: boolean }): void;
  removeEventListener(name: "abort", listener: () => void): void;
}

/** A signal and its trigger. Aborts at most once, and calls each listener once. */
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

  /** Aborts with this reason. Later calls do nothing. */
  abort(reason: unknown): void {
    if (this.#aborted) return;
    this.#aborted = true;
    this.#reason = reason;
    const listeners = [...this.#listeners];
    this.#listeners.clear();
    for (const listener of listeners) listener();
  }
}
