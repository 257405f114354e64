/** Both directions of a connection as pumps, for channels without descriptors. */

import { SpipedError } from "../errors.js";
import type { Channel } from "../net/channel.js";
import type { SessionKeys } from "../protocol/handshake.js";
import type { CoalescingTimer } from "./coalescing.js";
import type { Flow, FlowOptions } from "./flow.js";
import { flowSettings } from "./flow-settings.js";
import { cleartextMemory, packetMemory, scheduler, coalescingTimer as sharedTimer } from "./memory.js";
import { Pump } from "./pump.js";

/** With one framing per direction in place of the keys. */
type PumpedFlowOptions = Omit<FlowOptions, "keys"> & { readonly keys: Pick<SessionKeys, "sealer" | "opener"> };

/** Moves a connection's bytes with two pumps. Call `start` to begin. Calls `ended` or `failed` of the options once. */
export class PumpedFlow implements Flow {
  readonly #forward: Pump;
  readonly #reverse: Pump;
  readonly #encrypts: boolean;

  /**
   * Does not start reading.
   *
   * @param timer - Coalescing timer of both directions.
   */
  constructor(options: PumpedFlowOptions, timer: CoalescingTimer = sharedTimer) {
    const { encrypts, source, target, keys, endWithTarget, forwardEnded, ended, failed } = options;
    this.#encrypts = encrypts;
    const { sealer, opener } = keys;
    const common = { scheduler, timer, coalescing: flowSettings().coalescing, failed };
    const handedOn = (to: Channel) => {
      // Data that was ended in order will be delivered by the system, even if this process exits.
      to.resetOnDeath?.(false);
      if (this.#reverse.isEnded && (this.#forward.isEnded || endWithTarget)) ended();
    };
    const failureOfEnd = (side: "source" | "target", to: Channel) => () => {
      const failure = to.failureOfEnd?.();
      return failure && new SpipedError(failure.code, `${side} ${to.peer}: ${failure.message}`, { cause: failure });
    };
    this.#forward = new Pump({
      ...common,
      from: source.reader,
      framing: encrypts ? sealer : opener,
      chunks: (encrypts ? packetMemory : cleartextMemory).chunks,
      to: target.writable,
      arrived: () => this.#reverse.interrupt(),
      failureOfEnd: failureOfEnd("target", target),
      ended: () => {
        handedOn(target);
        forwardEnded?.();
      },
    });
    this.#reverse = new Pump({
      ...common,
      from: target.reader,
      framing: encrypts ? opener : sealer,
      chunks: (encrypts ? cleartextMemory : packetMemory).chunks,
      to: source.writable,
      arrived: () => this.#forward.interrupt(),
      failureOfEnd: failureOfEnd("source", source),
      ended: () => handedOn(source),
    });
  }

  get bytesForward(): number {
    return this.#encrypts ? this.#forward.bytesIn : this.#forward.bytesOut;
  }

  get bytesReverse(): number {
    return this.#encrypts ? this.#reverse.bytesOut : this.#reverse.bytesIn;
  }

  start(): void {
    this.#forward.start();
    this.#reverse.start();
  }

  stop(): void {
    this.#forward.stop();
    this.#reverse.stop();
  }
}
