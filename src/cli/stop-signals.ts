/**
 * The signals that end a program, caught from the beginning: as the first process of a container nobody else would.
 * SIGTERM and SIGINT, and SIGHUP where standard input is a terminal: then the terminal has gone.
 */

import { takeSignal } from "./early-signals.js";

/** See the head of this file. */
export class StopSignals {
  /** Resolves at a signal that came, or comes, before `next` was called. */
  readonly early: Promise<undefined>;
  #take: (signal: string) => void = () => undefined;

  /** @param hangUp - Whether SIGHUP ends the program too. */
  constructor({ hangUp }: { readonly hangUp: boolean }) {
    this.early = new Promise((resolveEarly) => {
      this.#take = () => resolveEarly(undefined);
    });
    for (const signal of ["SIGTERM", "SIGINT", ...(hangUp ? (["SIGHUP"] as const) : [])] as const)
      takeSignal(signal, () => this.#take(signal));
  }

  /** The next signal. */
  next(): Promise<string> {
    return new Promise((resolveNext) => {
      this.#take = resolveNext;
    });
  }

  /** Calls back for each signal from now on. */
  whenever(listener: () => void): void {
    this.#take = listener;
  }
}
