/**
 * How every channel reports that it has failed: one home for "the first failure wins".
 */

import type { SpipedError } from "../errors.js";

/**
 * Keeps a channel's first failure and tells one listener of it, once: never before the caller of whatever failed has gone
 * on, and never after `settle`. A failure that comes before the listener is kept for it.
 */
export abstract class FailureLatch {
  #failure: SpipedError | undefined;
  #listener: ((error: SpipedError) => void) | undefined;
  #isSettled = false;

  /** See `Channel.onFailure`. */
  onFailure(listener: (error: SpipedError) => void): void {
    this.#listener = listener;
    if (this.#failure !== undefined) this.#tell(this.#failure);
  }

  /** Fails; further failures are dropped. */
  protected fail(error: SpipedError): void {
    if (this.#isSettled || this.#failure !== undefined) return;
    this.#failure = error;
    if (this.#listener !== undefined) this.#tell(error);
  }

  /** The channel is closed or handed over: no failure is told from now on. */
  protected settle(): void {
    this.#isSettled = true;
  }

  protected get isSettled(): boolean {
    return this.#isSettled;
  }

  #tell(error: SpipedError): void {
    queueMicrotask(() => {
      if (!this.#isSettled) this.#listener?.(error);
    });
  }
}
