/**
 * The signals that stop a program: SIGTERM and SIGINT, and SIGHUP if standard input is a terminal, which is then gone.
 * They must be caught explicitly, because the first process of a container has no default handlers.
 */

import { takeSignal } from "./early-signals.js";

/** Catches the signals that stop a program. */
export class StopSignals {
  /** Resolves at a signal that comes before `next` is called. */
  readonly early: Promise<undefined>;
  #take: (signal: string) => void = () => undefined;

  /** @param hangUp - Whether SIGHUP stops the program as well. */
  constructor({ hangUp }: { readonly hangUp: boolean }) {
    this.early = new Promise((resolveEarly) => {
      this.#take = () => resolveEarly(undefined);
    });
    for (const signal of ["SIGTERM", "SIGINT", ...(hangUp ? (["SIGHUP"] as const) : [])] as const)
      takeSignal(signal, () => this.#take(signal));
  }

  /** Resolves with the next signal. */
  next(): Promise<string> {
    return new Promise((resolveNext) => {
      this.#take = resolveNext;
    });
  }

  /** Calls `listener` at each signal from now on. */
  whenever(listener: () => void): void {
    this.#take = listener;
  }
}
