/**
 * Look-ups by the system, side by side: a silent name server holds one up for a minute or more, and no other may wait
 * for it.
 *
 * What several ask for at a time is looked up once. A look-up that has begun cannot be given up, so those that run are
 * bounded, and further ones wait in the order in which they were asked for. Whoever asks may stop waiting at any time.
 */

import { messageOf, type SpipedError } from "../errors.js";
import type { LookupResult } from "../native/native.js";
import type { CancelSignal } from "./cancellation.js";

/** Most look-ups at a time. */
export const MAX_LOOKUPS = 8;

/** Starts a look-up by the system; `done` is called once. */
export type SystemLookUp = (host: string, service: string, done: (found: LookupResult) => void) => void;

/** How long somebody waits. */
export interface Patience {
  /** Ends waiting, with its reason. */
  readonly signal?: CancelSignal | undefined;
  /** The same after this time, with an error of the caller's. */
  readonly timeoutMs: number;
  readonly timedOut: () => SpipedError;
}

/** What is asked for, and who waits for it; it begins when its turn has come. */
interface Question {
  readonly host: string;
  readonly service: string;
  readonly waiting: Set<(found: LookupResult) => void>;
}

/**
 * Runs lookups, at most {@link MAX_LOOKUPS} at a time, in the order in which they were asked for. The same question is
 * asked once. A caller that stops waiting does not stop a lookup that has begun.
 */
export class LookupQueue {
  readonly #lookUp: SystemLookUp;
  /** All that have no answer yet, each once. */
  readonly #open = new Map<string, Question>();
  /** Those of them whose turn has not come, in order. */
  readonly #queue = new Set<Question>();
  #running = 0;

  constructor(lookUp: SystemLookUp) {
    this.#lookUp = lookUp;
  }

  /**
   * Looks up, or waits for the same look-up of somebody else's. The process stays alive meanwhile.
   *
   * @returns The addresses, or why there are none.
   */
  find(host: string, service: string, { signal, timeoutMs, timedOut }: Patience): Promise<LookupResult> {
    return new Promise((resolve, reject) => {
      if (signal?.aborted) {
        reject(signal.reason);
        return;
      }
      const question = this.#ask(host, service);
      const stopWaiting = () => {
        clearTimeout(timer);
        signal?.removeEventListener("abort", abort);
        question.waiting.delete(answer);
        this.#forgetUnlessWanted(question);
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
      question.waiting.add(answer);
      this.#startNext();
    });
  }

  #ask(host: string, service: string): Question {
    const name = `${host} ${service}`;
    const known = this.#open.get(name);
    if (known !== undefined) return known;
    const question: Question = { host, service, waiting: new Set() };
    this.#open.set(name, question);
    this.#queue.add(question);
    return question;
  }

  /** Whose turn has not come, and for whom nobody waits any more, need not begin. */
  #forgetUnlessWanted(question: Question): void {
    if (question.waiting.size > 0 || !this.#queue.delete(question)) return;
    this.#open.delete(`${question.host} ${question.service}`);
  }

  #startNext(): void {
    const [question] = this.#queue;
    if (question === undefined || this.#running >= MAX_LOOKUPS) return;
    this.#queue.delete(question);
    this.#running += 1;
    const { host, service } = question;
    try {
      this.#lookUp(host, service, (found) => this.#ended(question, found));
    } catch (cause) {
      this.#ended(question, { addresses: [], failure: messageOf(cause) });
    }
  }

  #ended(question: Question, found: LookupResult): void {
    this.#running -= 1;
    this.#open.delete(`${question.host} ${question.service}`);
    for (const answer of [...question.waiting]) answer(found);
    this.#startNext();
  }
}
