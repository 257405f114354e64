/**
 * Signals that end what a program has begun.
 */

import { SpipedError } from "../errors.js";

/** What an aborted signal gives for its reason, as an error. */
export function abortError({ reason }: AbortSignal): Error {
  return reason instanceof Error
    ? reason
    : new SpipedError("SPIPED_CANCELLED", "the signal was aborted", { cause: reason });
}

/**
 * Calls back when a signal is aborted later on.
 *
 * @returns Lets go of the signal, which may live longer than what it would have ended.
 */
export function whenAborted(signal: AbortSignal | undefined, aborted: () => void): () => void {
  signal?.addEventListener("abort", aborted, { once: true });
  return () => signal?.removeEventListener("abort", aborted);
}
