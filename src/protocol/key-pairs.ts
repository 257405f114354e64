/**
 * Key pairs made ahead. x and y depend on nothing of a connection, so they can be ready before it comes, and the
 * handshake does not wait for them.
 *
 * A pair is used once, the oldest first. Whoever could read this memory before a connection could read that connection,
 * so no pair waits longer than `MAX_AGE_MS`, and none is left when nobody wants any ahead.
 */

import type { Clock } from "../clock.js";
import { addon, type KeyPair } from "../native/native.js";
import { asSpipedError } from "./native-errors.js";

/** A pair that was not used for so long is wiped, and made anew. */
export const MAX_AGE_MS = 5 * 60_000;

/**
 * Pairs are made in a burst, and get old in one. Those that will be too old within this time are replaced with the
 * first of them, so that an idle tunnel wakes up once in a while, and not once for each pair.
 */
const SAME_BURST_MS = 5_000;

interface AgingPair {
  readonly pair: KeyPair;
  readonly madeAtMs: number;
}

/** A store of key pairs that fills itself up in the background, off the event loop. */
export class KeyPairStock {
  /** The oldest first. */
  readonly #ready: AgingPair[] = [];
  readonly #generate: () => Promise<KeyPair>;
  /** How many each of those wants who want some ahead. Where there is none, there are no pairs that could get old. */
  readonly #wishes = new Set<{ readonly count: number }>();
  #clock: Clock | undefined;
  #making = false;
  #cancelReplacing: (() => void) | undefined;

  /** @param generate - Makes one pair; the addon's way where it is left out. */
  constructor(generate: () => Promise<KeyPair> = () => addon.KeyPair.generate()) {
    this.#generate = generate;
  }

  /** Pairs that are ready. */
  get ready(): number {
    return this.#ready.length;
  }

  /**
   * Keeps `count` pairs ready from now on; of several wishes the highest counts.
   *
   * @param clock - By which they get old; the same for all wishes.
   * @returns Ends the wish, once or more often. Pairs that nobody wants any more are wiped.
   */
  keep(count: number, clock: Clock): () => void {
    this.#clock = clock;
    const wish = { count };
    this.#wishes.add(wish);
    this.#fill();
    return () => {
      this.#wishes.delete(wish);
      while (this.#ready.length > this.#wanted) this.#wipeOldest();
      this.#replaceInTime();
    };
  }

  /**
   * Takes a pair out, or makes one where none is ready.
   *
   * @throws SpipedError `SPIPED_RANDOM` when the system gives no random bytes.
   */
  async take(): Promise<KeyPair> {
    // A process that was held up may come here before its timer.
    this.#wipeOlderThan(MAX_AGE_MS);
    const oldest = this.#ready.shift();
    if (oldest !== undefined) {
      this.#replaceInTime();
      this.#fill();
      return oldest.pair;
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

  get #wanted(): number {
    let wanted = 0;
    for (const { count } of this.#wishes) wanted = Math.max(wanted, count);
    return wanted;
  }

  /** One at a time, so that connections which need their keys now find a free thread. */
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
        // Whoever takes the next one tries again, and is told.
        this.#making = false;
      },
    );
  }

  /**
   * Has the oldest pair replaced when its time has come. A timer that is set stays, though another pair may be the oldest by
   * then: it looks again. Of timers that keep no process alive, Node.js holds on to something for each length that was ever
   * called off, until its time would have come.
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
