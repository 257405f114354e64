/**
 * Records everything that a peer sends, so that it can be examined from the beginning, even if the handshake failed. When
 * the buffer is full, reading stops.
 */

import type { ByteReader } from "../net/byte-reader.js";
import type { Channel } from "../net/channel.js";
import { EarlyEnd } from "../net/exact-reads.js";
import { HANDSHAKE_BYTES, PACKET_BYTES } from "../protocol/constants.js";
import type { Ending } from "./findings.js";

/** Room for the handshake, and for enough packets for a greeting. */
const MAX_BYTES = HANDSHAKE_BYTES + 4 * PACKET_BYTES;

/** A reader that keeps what it has read. */
export class Recording implements ByteReader {
  readonly leavesBytesToSystem = false;
  readonly #channel: Channel;
  readonly #memory = new Uint8Array(MAX_BYTES);
  readonly #waiters = new Set<() => void>();
  #length = 0;
  #taken = 0;
  #ending: Ending | undefined;

  /** @param channel - A channel that nothing has been read from. */
  constructor(channel: Channel) {
    this.#channel = channel;
    channel.onFailure(() => this.#end("reset"));
    const free = () => MAX_BYTES - this.#length;
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

  /** Everything received so far. */
  get bytes(): Uint8Array {
    return this.#memory.subarray(0, this.#length);
  }

  /** How the peer closed the connection; undefined while it is open. */
  get ending(): Ending | undefined {
    return this.#ending;
  }

  /** Waits until `isEnough`, or the peer has closed the connection, or `limitMs` has passed. */
  until(isEnough: () => boolean, limitMs: number): Promise<void> {
    return new Promise((resolve) => {
      const done = () => {
        clearTimeout(timer);
        this.#waiters.delete(check);
        resolve();
      };
      const check = () => {
        if (this.#ending !== undefined || isEnough()) done();
      };
      const timer = setTimeout(done, limitMs);
      this.#waiters.add(check);
      check();
    });
  }

  /** Has no timeout; the caller needs one. */
  readExactly(length: number): Promise<Uint8Array> {
    const end = this.#taken + length;
    return new Promise((resolve, reject) => {
      const check = () => {
        if (this.#length >= end) {
          this.#taken = end;
          resolve(this.#memory.slice(end - length, end));
        } else if (this.#ending !== undefined) {
          reject(new EarlyEnd(this.#ending === "ended" ? "orderly" : "closed", this.#length, HANDSHAKE_BYTES));
        } else return;
        this.#waiters.delete(check);
      };
      this.#waiters.add(check);
      check();
    });
  }

  flowInto(): void {
    throw new Error("a recording cannot be piped");
  }

  resume(): void {
    this.#channel.reader.resume();
  }

  #end(ending: Ending): void {
    this.#ending ??= ending;
    this.#changed();
  }

  #changed(): void {
    for (const check of [...this.#waiters]) check();
  }
}
