/**
 * Concurrent lookups by the system's resolver: a silent name server can block one for a minute or more, which must not
 * delay the others.
 *
 * Concurrent requests for the same name share one lookup. A running lookup cannot be cancelled, so the number of running
 * lookups is limited and further ones are queued. A caller can stop waiting at any time.
 */

import { messageOf, type SpipedError } from "../errors.js";
import type { LookupResult } from "../native/native.js";
import type { CancelSignal } from "./cancellation.js";

/** The maximum number of concurrent lookups. */
export const MAX_LOOKUPS = 8;

/** Starts a lookup; `done` is called once. */
export type SystemLookup = (host: string, service: string, done: (found: LookupResult) => void) => void;

/** How long a caller waits. */
export interface LookupWait {
  /** Stops waiting; the lookup then rejects with the signal's reason. */
  readonly signal?: CancelSignal | undefined;
  readonly timeoutMs: number;
  /** Creates the error after `timeoutMs`. */
  readonly timedOut: () => SpipedError;
}

/** A lookup that is queued or running, and the callers waiting for it. */
interface Lookup {
  readonly host: string;
  readonly service: string;
  readonly waiting: Set<(found: LookupResult) => void>;
}

/**
 * Runs lookups in the order of the requests, at most {@link MAX_LOOKUPS} at a time. Requests for the same host and service
 * share one lookup. A lookup that has started continues even if all callers stop waiting.
 */
export class LookupQueue {
  readonly #lookup: SystemLookup;
  /** All lookups without an answer, queued or running. */
  readonly #open = new Map<string, Lookup>();
  /** The ones that have not started, in order. */
  readonly #queue = new Set<Lookup>();
  #running = 0;

  constructor(lookup: SystemLookup) {
    this.#lookup = lookup;
  }

  /**
   * Looks up a host and a service, or joins a lookup of the same. Keeps the process alive.
   *
   * @returns The addresses, or why there are none.
   */
  find(host: string, service: string, { signal, timeoutMs, timedOut }: LookupWait): Promise<LookupResult> {
    return new Promise((resolve, reject) => {
      if (signal?.aborted) {
        reject(signal.reason);
        return;
      }
      const lookup = this.#ask(host, service);
      const stopWaiting = () => {
        clearTimeout(timer);
        signal?.removeEventListener("abort", abort);
        lookup.waiting.delete(answer);
        this.#forgetUnlessWanted(lookup);
      };
      const answer = (found: LookupResult) => {
        stopWaiting();
        resolve(found);
      };
      const abort = () => {
        stopWaiting();
        reject(signal?.reason);
      };
      const timer = setTimeout(() => {
        stopWaiting();
        reject(timedOut());
      }, timeoutMs);
      signal?.addEventListener("abort", abort, { once: true });
      lookup.waiting.add(answer);
      this.#startNext();
    });
  }

  #ask(host: string, service: string): Lookup {
    const name = `${host} ${service}`;
    const known = this.#open.get(name);
    if (known !== undefined) return known;
    const lookup: Lookup = { host, service, waiting: new Set() };
    this.#open.set(name, lookup);
    this.#queue.add(lookup);
    return lookup;
  }

  /** Drops a lookup that has not started and has no callers left. */
  #forgetUnlessWanted(lookup: Lookup): void {
    if (lookup.waiting.size > 0 || !this.#queue.delete(lookup)) return;
    this.#open.delete(`${lookup.host} ${lookup.service}`);
  }

  #startNext(): void {
    const [lookup] = this.#queue;
    if (lookup === undefined || this.#running >= MAX_LOOKUPS) return;
    this.#queue.delete(lookup);
    this.#running += 1;
    const { host, service } = lookup;
    try {
      this.#lookup(host, service, (found) => this.#ended(lookup, found));
    } catch (cause) {
      this.#ended(lookup, { addresses: [], failure: messageOf(cause) });
    }
  }

  #ended(lookup: Lookup, found: LookupResult): void {
    this.#running -= 1;
    this.#open.delete(`${lookup.host} ${lookup.service}`);
    for (const answer of [...lookup.waiting]) answer(found);
    this.#startNext();
  }
}
