/**
 * Distributes a server's streams to `for await` loops.
 *
 * Each stream goes to one loop. Streams that no loop has taken are queued for the next one, and reset when the server
 * is closed. A stream that fails while queued is dropped silently: no program has seen it.
 */

import { ignoreErrors, type TunnelStream } from "./tunnel-stream.js";

type Result = IteratorResult<TunnelStream, void>;

const DONE: Result = Object.freeze({ done: true, value: undefined });

/** One loop. */
interface Loop {
  /** Pending calls of `next`. */
  readonly asking: Set<(result: Result) => void>;
  isOver: boolean;
}

export class StreamQueue {
  /** `draining`: queued streams still go to loops. `closed`: no more streams. */
  #state: "open" | "draining" | "closed" = "open";
  /** In the order of arrival; true if also emitted to listeners. */
  readonly #waiting = new Map<TunnelStream, boolean>();
  /** Loops that have begun and not finished, in order. */
  readonly #loops = new Set<Loop>();

  /** @param isGiven - True if listeners have the stream already. */
  add(stream: TunnelStream, isGiven: boolean): void {
    if (this.#loops.size === 0 && (isGiven || this.#state !== "open")) {
      if (!isGiven) stream.abandon();
      return;
    }
    stream.on("error", ignoreErrors);
    stream.once("close", () => this.#waiting.delete(stream));
    this.#waiting.set(stream, isGiven);
    this.#giveOut();
  }

  /** The server listens, perhaps again. */
  open(): void {
    this.#state = "open";
  }

  /** The server accepts no more clients. */
  drain(): void {
    this.#state = "draining";
    this.#dropUnlessLooped();
  }

  /** The server is closed: ends all loops. */
  close(): void {
    this.#state = "closed";
    for (const loop of this.#loops) this.#leave(loop);
  }

  /** A new loop, which begins at its first call of `next`. */
  loop(): AsyncIterableIterator<TunnelStream> {
    const loop: Loop = { asking: new Set(), isOver: false };
    const iterator: AsyncIterableIterator<TunnelStream> = {
      next: () => {
        if (this.#state === "closed") this.#leave(loop);
        if (loop.isOver) return Promise.resolve(DONE);
        this.#loops.add(loop);
        return new Promise((answer) => {
          loop.asking.add(answer);
          this.#giveOut();
        });
      },
      return: () => {
        this.#leave(loop);
        return Promise.resolve(DONE);
      },
      [Symbol.asyncIterator]: () => iterator,
    };
    return iterator;
  }

  #leave(loop: Loop): void {
    loop.isOver = true;
    this.#loops.delete(loop);
    for (const answer of loop.asking) answer(DONE);
    loop.asking.clear();
    this.#dropUnlessLooped();
  }

  #giveOut(): void {
    for (const loop of this.#loops) {
      for (const answer of loop.asking) {
        const stream = this.#take();
        if (stream === undefined) return;
        loop.asking.delete(answer);
        answer({ done: false, value: stream });
      }
    }
  }

  #take(): TunnelStream | undefined {
    for (const stream of this.#waiting.keys()) {
      this.#waiting.delete(stream);
      if (stream.destroyed) continue;
      // The loop's code attaches its own error listener first.
      setImmediate(() => stream.off("error", ignoreErrors));
      return stream;
    }
    return undefined;
  }

  /**
   * Without a loop, queued streams belong to their listeners only; once the server is draining, no new loop can begin.
   */
  #dropUnlessLooped(): void {
    if (this.#loops.size > 0) return;
    for (const [stream, isGiven] of this.#waiting) {
      if (!isGiven && this.#state === "open") continue;
      this.#waiting.delete(stream);
      stream.off("error", ignoreErrors);
      if (!isGiven) stream.abandon();
    }
  }
}
