/**
 * Key pairs generated in advance. x and y do not depend on the connection, so they can be ready before it starts, and the
 * handshake does not have to wait for them.
 *
 * Each pair is used once, the oldest first. An attacker who reads this memory could decrypt the connections that use the
 * pairs later. So pairs are kept for at most `MAX_AGE_MS`, and wiped when no tunnel needs them.
 */

import type { Clock } from "../clock.js";
import { addon, type KeyPair } from "../native/native.js";
import { asSpipedError } from "./native-errors.js";

/** A pair of this age is wiped and replaced. */
export const MAX_AGE_MS = 5 * 60_000;

/**
 * Pairs are generated in a burst and expire in a burst. Pairs that expire within this time of the first one are replaced
 * together with it, so that an idle tunnel wakes up once per burst and not once per pair.
 */
const SAME_BURST_MS = 5_000;

interface AgingPair {
  readonly pair: KeyPair;
  readonly madeAtMs: number;
}

/** A stock of key pairs that is refilled in the background, off the event loop. */
export class KeyPairStock {
  /** The oldest first. */
  readonly #ready: AgingPair[] = [];
  readonly #generate: () => Promise<KeyPair>;
  /** The requests of `keep`. Without any, no pairs are kept. */
  readonly #requests = new Set<{ readonly count: number }>();
  #clock: Clock | undefined;
  #making = false;
  #cancelReplacing: (() => void) | undefined;

  /** @param generate - Generates a pair; by default, the addon does. */
  constructor(generate: () => Promise<KeyPair> = () => addon.KeyPair.generate()) {
    this.#generate = generate;
  }

  /** Pairs that are ready. */
  get ready(): number {
    return this.#ready.length;
  }

  /**
   * Keeps `count` pairs ready from now on. If called several times, the highest count applies.
   *
   * @param clock - Measures the age of pairs; must be the same in all calls.
   * @returns Ends the request; can be called repeatedly. Surplus pairs are wiped.
   */
  keep(count: number, clock: Clock): () => void {
    this.#clock = clock;
    const request = { count };
    this.#requests.add(request);
    this.#fill();
    return () => {
      this.#requests.delete(request);
      while (this.#ready.length > this.#wanted) this.#wipeOldest();
      this.#replaceInTime();
    };
  }

  /**
   * Takes a pair from the stock, or generates one if none is ready. The caller owns it.
   *
   * @throws SpipedError `SPIPED_RANDOM` if the system provides no random bytes.
   */
  async take(): Promise<KeyPair> {
    // If the process was suspended, this can run before the timer.
    this.#wipeOlderThan(MAX_AGE_MS);
    const oldest = this.#ready.shift();
    if (oldest !== undefined) {
      this.#replaceInTime();
      this.#fill();
      return oldest.pair;
    }
    try {
      const made = await this.#generate();
      // If refilling has failed before, try again now that generating works.
      this.#fill();
      return made;
    } catch (cause) {
      throw asSpipedError(cause);
    }
  }

  get #wanted(): number {
    let wanted = 0;
    for (const { count } of this.#requests) wanted = Math.max(wanted, count);
    return wanted;
  }

  /** Generates one pair at a time, to leave threads free for connections that need their keys now. */
  #fill(): void {
    if (this.#making || this.#ready.length >= this.#wanted) return;
    this.#making = true;
    this.#generate().then(
      (pair) => {
        this.#making = false;
        if (this.#clock === undefined || this.#ready.length >= this.#wanted) {
          pair.destroy();
          return;
        }
        this.#ready.push({ pair, madeAtMs: this.#clock.now() });
        this.#replaceInTime();
        this.#fill();
      },
      () => {
        // The next `take` tries again and reports the error.
        this.#making = false;
      },
    );
  }

  /**
   * Sets a timer to replace the oldest pair when it expires. A pending timer is kept even if another pair is the oldest by
   * then, since it checks again when it fires. Cancelling timers would leak: for unref'd timers, Node keeps a list for each
   * distinct delay until that delay has passed.
   */
  #replaceInTime(): void {
    const oldest = this.#ready[0];
    if (oldest === undefined) {
      this.#cancelReplacing?.();
      this.#cancelReplacing = undefined;
    }
    if (oldest === undefined || this.#clock === undefined || this.#cancelReplacing !== undefined) return;
    const delayMs = Math.max(0, oldest.madeAtMs + MAX_AGE_MS - this.#clock.now());
    this.#cancelReplacing = this.#clock.later(() => {
      this.#cancelReplacing = undefined;
      if (this.#hasOlderThan(MAX_AGE_MS)) this.#wipeOlderThan(MAX_AGE_MS - SAME_BURST_MS);
      this.#replaceInTime();
      this.#fill();
    }, delayMs);
  }

  #hasOlderThan(ageMs: number): boolean {
    const now = this.#clock?.now() ?? 0;
    return this.#ready[0] !== undefined && now - this.#ready[0].madeAtMs >= ageMs;
  }

  #wipeOlderThan(ageMs: number): void {
    while (this.#hasOlderThan(ageMs)) this.#wipeOldest();
  }

  #wipeOldest(): void {
    this.#ready.shift()?.pair.destroy();
  }
}

/** The key pairs of this process. */
export const keyPairs = new KeyPairStock();
