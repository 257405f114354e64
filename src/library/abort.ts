/** AbortSignals passed in by the program. */

import { SpipedError } from "../errors.js";

/** An aborted signal's reason, as an error. */
export function abortError({ reason }: AbortSignal): Error {
  return reason instanceof Error
    ? reason
    : new SpipedError("SPIPED_CANCELLED", "the signal was aborted", { cause: reason });
}

/**
 * Calls back when a signal is aborted later.
 *
 * @returns Removes the listener; the signal may outlive the operation.
 */
export function whenAborted(signal: AbortSignal | undefined, aborted: () => void): () => void {
  signal?.addEventListener("abort", aborted, { once: true });
  return () => signal?.removeEventListener("abort", aborted);
}
