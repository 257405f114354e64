/**
 * The failure reporting that all channels share: the first failure wins.
 */

import type { SpipedError } from "../errors.js";

/**
 * Records a channel's first failure and reports it to one listener, once. The listener is called asynchronously, and never
 * after `settle`. A failure that precedes the listener is reported when the listener is set.
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

  /** Records a failure, unless there was one before. */
  protected fail(error: SpipedError): void {
    if (this.#isSettled || this.#failure !== undefined) return;
    this.#failure = error;
    if (this.#listener !== undefined) this.#tell(error);
  }

  /** Stops reporting failures: the channel is closed or handed over. */
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
