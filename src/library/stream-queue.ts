/**
 * A server's streams between their arrival and the loop that takes them.
 *
 * Each is taken once: several loops share the streams. Those that no loop takes wait for the next one, until the server
 * is closed; then they are reset. A stream that fails while it waits is gone: nobody has seen it, so nobody is told.
 */

import { ignoreErrors, type TunnelStream } from "./tunnel-stream.js";

type Result = IteratorResult<TunnelStream, void>;

const DONE: Result = Object.freeze({ done: true, value: undefined });

/** One loop. */
interface Loop {
  /** Its calls of `next` that have no answer yet. */
  readonly asking: Set<(result: Result) => void>;
  isOver: boolean;
}

/** Hands each stream of a server to one loop. Unclaimed streams wait for the next loop; `close` resets them. */
export class StreamQueue {
  /** `draining`: what waits is still given to loops, and to nobody else. `closed`: nothing comes any more. */
  #state: "open" | "draining" | "closed" = "open";
  /** In the order of arrival; true for those that listeners have too. */
  readonly #waiting = new Map<TunnelStream, boolean>();
  /** Those that have begun and are not over, in order. */
  readonly #loops = new Set<Loop>();

  /** @param isGiven - True where listeners have the stream already. */
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

  /** The server listens, once more. */
  open(): void {
    this.#state = "open";
  }

  /** The server takes no more clients. */
  drain(): void {
    this.#state = "draining";
    this.#dropUnlessLooped();
  }

  /** The server is closed: all loops end. */
  close(): void {
    this.#state = "closed";
    for (const loop of this.#loops) this.#leave(loop);
  }

  /** A loop; it begins with its first call of `next`. */
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
      // Whoever takes it gets to its own listener first.
      setImmediate(() => stream.off("error", ignoreErrors));
      return stream;
    }
    return undefined;
  }

  /** Without a loop, nobody but their listeners has what waits; and after the end of a server there is no other loop. */
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
