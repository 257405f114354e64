/**
 * All that a peer has said so far: read at once and kept, so that it can be looked at from the beginning, whatever became
 * of the handshake. What is kept is bounded; a peer that never stops is no longer read.
 */

import type { ByteReader } from "../net/byte-reader.js";
import type { Channel } from "../net/channel.js";
import { handshakeEndError } from "../net/exact-reads.js";
import { HANDSHAKE_BYTES, PACKET_BYTES } from "../protocol/constants.js";
import type { Ending } from "./findings.js";

/** The handshake, and packets enough for a greeting. */
const MOST_BYTES = HANDSHAKE_BYTES + 4 * PACKET_BYTES;

/** See the head of this file. */
export class Heard implements ByteReader {
  readonly leavesBytesToSystem = false;
  readonly #channel: Channel;
  readonly #memory = new Uint8Array(MOST_BYTES);
  readonly #waiting = new Set<() => void>();
  #length = 0;
  #taken = 0;
  #ending: Ending | undefined;

  /** @param channel - From which nothing has been read. */
  constructor(channel: Channel) {
    this.#channel = channel;
    channel.onFailure(() => this.#end("reset"));
    const free = () => MOST_BYTES - this.#length;
    channel.reader.flowInto({
      get mostBytes() {
        return Math.max(1, free());
      },
      receive: (bytes) => {
        const kept = bytes.subarray(0, free());
        this.#memory.set(kept, this.#length);
        this.#length += kept.length;
        this.#changed();
        return free() > 0;
      },
      end: () => this.#end("ended"),
    });
  }

  /** From the first one on. */
  get bytes(): Uint8Array {
    return this.#memory.subarray(0, this.#length);
  }

  /** How the peer let go; undefined while it has not. */
  get ending(): Ending | undefined {
    return this.#ending;
  }

  /** Waits until it is enough, the peer has let go, or the time is over. */
  until(isEnough: () => boolean, limitMs: number): Promise<void> {
    return new Promise((resolve) => {
      const done = () => {
        clearTimeout(timer);
        this.#waiting.delete(look);
        resolve();
      };
      const look = () => {
        if (this.#ending !== undefined || isEnough()) done();
      };
      const timer = setTimeout(done, limitMs);
      this.#waiting.add(look);
      look();
    });
  }

  /** As any reader; whoever waits has a limit of its own. */
  readExactly(length: number): Promise<Uint8Array> {
    const end = this.#taken + length;
    return new Promise((resolve, reject) => {
      const look = () => {
        if (this.#length >= end) {
          this.#taken = end;
          resolve(this.#memory.slice(end - length, end));
        } else if (this.#ending !== undefined) {
          reject(handshakeEndError(this.#ending === "ended" ? "orderly" : "closed", this.#length, HANDSHAKE_BYTES));
        } else return;
        this.#waiting.delete(look);
      };
      this.#waiting.add(look);
      look();
    });
  }

  flowInto(): void {
    throw new Error("what is heard is looked at, and goes nowhere");
  }

  resume(): void {
    this.#channel.reader.resume();
  }

  #end(ending: Ending): void {
    this.#ending ??= ending;
    this.#changed();
  }

  #changed(): void {
    for (const look of [...this.#waiting]) look();
  }
}
