/**
 * SIGHUP: the key file is read again while connections go on. One reading at a time; what is asked for meanwhile is one
 * more after it, which sees what the one before may have missed.
 */

import { KeyFileReader, type ReadKey } from "../config/key-file.js";

/** What becomes of a key that was read again, or of the reason why not. */
export interface KeyReloadEvents {
  /** The key belongs to whoever is called. */
  read(key: ReadKey): void;
  failed(error: unknown): void;
}

/** See the head of this file. */
export class KeyReload {
  readonly #reader: KeyFileReader;
  readonly #events: KeyReloadEvents;
  #reading: Promise<void> = Promise.resolve();
  #state: "idle" | "reading" | "reading, and then once more" = "idle";

  constructor(path: string, events: KeyReloadEvents) {
    this.#reader = new KeyFileReader(path);
    this.#events = events;
  }

  /** Has the key read as it is from now on; resolves when that has come to an end, whatever it is. */
  request(): Promise<void> {
    switch (this.#state) {
      case "idle":
        this.#reading = this.#run();
        return this.#reading;
      case "reading":
      case "reading, and then once more":
        this.#state = "reading, and then once more";
        return this.#reading;
    }
  }

  async #run(): Promise<void> {
    do {
      this.#state = "reading";
      try {
        this.#events.read(await this.#reader.read());
      } catch (error) {
        this.#events.failed(error);
      }
    } while (this.#isAskedAgain());
    this.#state = "idle";
  }

  #isAskedAgain(): boolean {
    return this.#state === "reading, and then once more";
  }
}
