/**
 * Both directions of a connection as pumps: for whatever has no descriptors.
 */

import type { Channel } from "../net/channel.js";
import type { Flow, FlowOptions } from "./flow.js";
import { cleartextMemory, packetMemory, turns } from "./memory.js";
import { Pump } from "./pump.js";

/** See the head of this file. */
export class PumpedFlow implements Flow {
  readonly #forward: Pump;
  readonly #reverse: Pump;
  readonly #encrypts: boolean;

  /** Does not begin yet. */
  constructor({ encrypts, source, target, keys, endWithTarget, forwardEnded, ended, failed }: FlowOptions) {
    this.#encrypts = encrypts;
    const { sealer, opener } = keys;
    const handedOn = (to: Channel) => {
      // What has been ended in order is the system's to deliver, whatever becomes of this process.
      to.resetOnDeath?.(false);
      if (this.#reverse.isEnded && (this.#forward.isEnded || endWithTarget)) ended();
    };
    this.#forward = new Pump({
      from: source.reader,
      framing: encrypts ? sealer : opener,
      chunks: (encrypts ? packetMemory : cleartextMemory).chunks,
      turns,
      to: target.writable,
      ended: () => {
        handedOn(target);
        forwardEnded?.();
      },
      failed,
    });
    this.#reverse = new Pump({
      from: target.reader,
      framing: encrypts ? opener : sealer,
      chunks: (encrypts ? cleartextMemory : packetMemory).chunks,
      turns,
      to: source.writable,
      ended: () => handedOn(source),
      failed,
    });
  }

  get bytesForward(): number {
    return this.#encrypts ? this.#forward.bytesIn : this.#forward.bytesOut;
  }

  get bytesReverse(): number {
    return this.#encrypts ? this.#reverse.bytesOut : this.#reverse.bytesIn;
  }

  /** Begins to read. */
  start(): void {
    this.#forward.start();
    this.#reverse.start();
  }

  stop(): void {
    this.#forward.stop();
    this.#reverse.stop();
  }
}
