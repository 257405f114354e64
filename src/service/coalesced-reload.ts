/**
 * Runs one reload at a time. All requests during a reload lead to a single further one, which sees the changes that the
 * running one may have missed.
 */

/** Serializes and coalesces reloads. */
export class CoalescedReload {
  #state: "idle" | "running" | "running, another pending" = "idle";
  #next: () => Promise<void> = () => Promise.resolve();
  #current: Promise<void> = Promise.resolve();

  /** Whether a reload is running, so that a new request has to wait for it. */
  get isRunning(): boolean {
    return this.#state !== "idle";
  }

  /**
   * Requests a reload that sees everything as it is now or later.
   *
   * @param reload - Does one reload; of several pending requests, the last one's is used.
   * @returns Resolves when no reload is running or pending.
   * @throws What a reload throws; pending requests are dropped then.
   */
  request(reload: () => Promise<void>): Promise<void> {
    this.#next = reload;
    switch (this.#state) {
      case "idle":
        this.#current = this.#run();
        break;
      case "running":
      case "running, another pending":
        this.#state = "running, another pending";
        break;
    }
    return this.#current;
  }

  async #run(): Promise<void> {
    try {
      do {
        this.#state = "running";
        await this.#next();
      } while (this.#isPending());
    } finally {
      this.#state = "idle";
    }
  }

  #isPending(): boolean {
    return this.#state === "running, another pending";
  }
}
