/**
 * Something that is read again when somebody asks: one reading at a time; what is asked for meanwhile, however often, is one
 * more after it, which sees what the one before may have missed.
 */

/** See the head of this file. */
export class Rereading {
  #state: "idle" | "reading" | "reading, and then once more" = "idle";
  #next: () => Promise<void> = () => Promise.resolve();
  #readings: Promise<void> = Promise.resolve();

  /** Whether whoever asks now has to wait. */
  get isUnderWay(): boolean {
    return this.#state !== "idle";
  }

  /**
   * Has everything read as it is from now on.
   *
   * @param read - One reading; of all that were asked for meanwhile, the last one's is taken.
   * @returns When nobody has anything to wait for any more.
   * @throws What a reading throws; what was asked for meanwhile is not done then.
   */
  request(read: () => Promise<void>): Promise<void> {
    this.#next = read;
    switch (this.#state) {
      case "idle":
        this.#readings = this.#run();
        break;
      case "reading":
      case "reading, and then once more":
        this.#state = "reading, and then once more";
        break;
    }
    return this.#readings;
  }

  async #run(): Promise<void> {
    try {
      do {
        this.#state = "reading";
        await this.#next();
      } while (this.#isAskedAgain());
    } finally {
      this.#state = "idle";
    }
  }

  #isAskedAgain(): boolean {
    return this.#state === "reading, and then once more";
  }
}
