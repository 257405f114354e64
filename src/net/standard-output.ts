/**
 * Standard output of any kind. Its end is told when everything before it is with the system and whoever reads it can
 * see the end: Node's `process.stdout` never closes its descriptor.
 */

import { Socket } from "node:net";
import type { Writable } from "node:stream";
import { messageOf } from "../errors.js";
import { addon } from "../native/native.js";
import { OUTPUT, reopenPipe, systemError } from "./standard-descriptors.js";

/** What the threads of the addon show of themselves. */
type StreamThread = ReturnType<typeof addon.writeStandardOutput>;

/** Opens standard output. */
export function openOutput(): Writable {
  const pipe = reopenPipe(OUTPUT);
  return pipe === undefined ? new ThreadOutput(addon.writeStandardOutput()) : new PipeOutput(pipe);
}

/** A pipe, through an open file description of our own. */
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

/** The one that was inherited keeps the pipe open as much as our own. */
function endOriginal(): Error | null {
  try {
    addon.endStandardOutput();
    return null;
  } catch (error) {
    return error instanceof Error ? error : new Error(messageOf(error));
  }
}

/** Anything else, through a thread. */
class ThreadOutput extends Socket {
  readonly #thread: StreamThread;
  #told: ((error?: Error | null) => void) | undefined;

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
      else this.#told = callback;
    });
  }

  override _destroy(error: Error | null, callback: (error?: Error | null) => void): void {
    // Of a thread that has given up, a write shows no more than that nobody takes it.
    const isAtWork = this.#thread.outcome === null;
    super._destroy(error === null || isAtWork ? error : (this.#outcome() ?? error), callback);
  }

  #ended(): void {
    const outcome = this.#outcome();
    if (this.#told !== undefined) this.#told(outcome);
    else if (outcome !== null) this.destroy(outcome);
  }

  /** How the thread ended: null where all is written. */
  #outcome(): Error | null {
    const { outcome } = this.#thread;
    if (outcome === 0) return null;
    return outcome === null ? new Error("the thread that writes it has died") : systemError(outcome);
  }
}
