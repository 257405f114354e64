/**
 * Key pairs made ahead. x and y depend on nothing of a connection, so they can be ready before it comes, and the
 * handshake does not wait for them.
 *
 * A pair is used once. What is left at the end of the process was never used, and goes with its memory.
 */

import { addon, type KeyPair } from "../native/native.js";
import { asSpipedError } from "./native-errors.js";

/** A store of key pairs that fills itself up in the background, off the event loop. */
export class KeyPairStock {
  readonly #ready: KeyPair[] = [];
  readonly #generate: () => Promise<KeyPair>;
  #wanted = 0;
  #making = false;

  /** @param generate - Makes one pair; the addon's way where it is left out. */
  constructor(generate: () => Promise<KeyPair> = () => addon.KeyPair.generate()) {
    this.#generate = generate;
  }

  /** Pairs that are ready. */
  get ready(): number {
    return this.#ready.length;
  }

  /** Keeps `count` pairs ready from now on. */
  keep(count: number): void {
    this.#wanted = Math.max(this.#wanted, count);
    this.#fill();
  }

  /**
   * Takes a pair out, or makes one where none is ready.
   *
   * @throws SpipedError `SPIPED_RANDOM` when the system gives no random bytes.
   */
  async take(): Promise<KeyPair> {
    const pair = this.#ready.pop();
    if (pair !== undefined) {
      this.#fill();
      return pair;
    }
    try {
      const made = await this.#generate();
      // Only now is it worth while to try again where filling has failed.
      this.#fill();
      return made;
    } catch (cause) {
      throw asSpipedError(cause);
    }
  }

  /** One at a time, so that connections which need their keys now find a free thread. */
  #fill(): void {
    if (this.#making || this.#ready.length >= this.#wanted) return;
    this.#making = true;
    this.#generate().then(
      (pair) => {
        this.#ready.push(pair);
        this.#making = false;
        this.#fill();
      },
      () => {
        // Whoever takes the next one tries again, and is told.
        this.#making = false;
      },
    );
  }
}

/** The key pairs of this process. */
export const keyPairs = new KeyPairStock();
