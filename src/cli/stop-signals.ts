/**
 * SIGTERM and SIGINT, caught from the beginning: as the first process of a container nobody else would.
 */

/** See the head of this file. */
export class StopSignals {
  /** Resolves at a signal that comes before `next` was called. */
  readonly early: Promise<undefined>;
  #take: (signal: string) => void = () => undefined;

  constructor() {
    this.early = new Promise((resolveEarly) => {
      this.#take = () => resolveEarly(undefined);
    });
    for (const signal of ["SIGTERM", "SIGINT"]) process.on(signal, () => this.#take(signal));
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
