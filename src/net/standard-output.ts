/**
 * Writes to standard output of any kind. It finishes once all data has been passed to the system and the reader can see
 * the end, unlike Node's `process.stdout`, which never closes its descriptor.
 */

import { Socket } from "node:net";
import type { Writable } from "node:stream";
import { messageOf } from "../errors.js";
import { addon } from "../native/native.js";
import { OUTPUT, reopenPipe, systemError } from "./standard-descriptors.js";

/** The state of an addon thread. */
type StreamThread = ReturnType<typeof addon.writeStandardOutput>;

/** Opens standard output. */
export function openOutput(): Writable {
  const pipe = reopenPipe(OUTPUT);
  return pipe === undefined ? new ThreadOutput(addon.writeStandardOutput()) : new PipeOutput(pipe);
}

/** A pipe, reopened with an open file description of our own. */
class PipeOutput extends Socket {
  constructor(fd: number) {
    super({ fd, readable: false, writable: true, allowHalfOpen: true });
  }

  override _final(callback: (error?: Error | null) => void): void {
    super._final((error) => {
      if (error) callback(error);
      else callback(endOriginal());
    });
  }
}

/** Closes the inherited descriptor, which would keep the pipe open. */
function endOriginal(): Error | null {
  try {
    addon.endStandardOutput();
    return null;
  } catch (error) {
    return error instanceof Error ? error : new Error(messageOf(error));
  }
}

/** Anything else, written by a thread. */
class ThreadOutput extends Socket {
  readonly #thread: StreamThread;
  #finalCallback: ((error?: Error | null) => void) | undefined;

  constructor(thread: StreamThread) {
    super({ fd: thread.descriptor, allowHalfOpen: true });
    this.#thread = thread;
    this.on("end", () => this.#ended());
    this.resume();
  }

  override _final(callback: (error?: Error | null) => void): void {
    this.#thread.endAfterThis();
    super._final((error) => {
      if (error) callback(error);
      else if (this.readableEnded) callback(this.#outcome());
      else this.#finalCallback = callback;
    });
  }

  override _destroy(error: Error | null, callback: (error?: Error | null) => void): void {
    // If the thread has failed, the write error is just a consequence; report the thread's error instead.
    const isAtWork = this.#thread.outcome === null;
    super._destroy(error === null || isAtWork ? error : (this.#outcome() ?? error), callback);
  }

  #ended(): void {
    const outcome = this.#outcome();
    if (this.#finalCallback !== undefined) this.#finalCallback(outcome);
    else if (outcome !== null) this.destroy(outcome);
  }

  /** The thread's error; null if all data was written. */
  #outcome(): Error | null {
    const { outcome } = this.#thread;
    if (outcome === 0) return null;
    return outcome === null ? new Error("the thread that writes it has died") : systemError(outcome);
  }
}
