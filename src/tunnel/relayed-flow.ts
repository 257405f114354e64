/**
 * Both directions of a connection in the hands of the relay's threads: for two sockets. What an end means, and what each
 * side sees of it, is the connection's business as ever: the sockets' channels end them through the relay.
 */

import { messageOf, SpipedError } from "../errors.js";
import { type Channel, socketFailure } from "../net/channel.js";
import { PacketRelay, type RelayedPair } from "../protocol/packet-relay.js";
import type { Flow, FlowOptions } from "./flow.js";
import { flowSettings } from "./flow-settings.js";
import { MAX_BUFFERED_BYTES } from "./memory.js";

const LONGEST_INTERVAL_MS = 2 ** 31 - 1;

let relay: PacketRelay | "off" | undefined;

/**
 * Hands a connection over.
 *
 * @returns Undefined where it cannot be: a side is no socket whose descriptor is known, or has something unwritten.
 */
export function relayedFlow(options: FlowOptions): Flow | undefined {
  const { encrypts, source, target, keys, endWithTarget, ended, failed } = options;
  if (endWithTarget || source.copyDescriptor === undefined || target.copyDescriptor === undefined) return undefined;
  const threads = theRelay();
  if (threads === undefined) return undefined;
  const copies = [source.copyDescriptor(), target.copyDescriptor()] as const;
  const [from, to] = copies;
  if (from === undefined || to === undefined) {
    for (const copy of copies) copy?.close();
    return undefined;
  }
  began();
  let isOver = false;
  const over = () => {
    isOver = true;
    oneLess();
  };
  // The channels let go of their descriptors before anybody else uses the sockets: nothing is ever done to them twice,
  // and whoever sees a byte arrive sees two descriptors.
  let pair: RelayedPair | undefined;
  source.handOver?.((resets) => pair?.end("source", resets));
  target.handOver?.((resets) => pair?.end("target", resets));
  const handedOver = threads.handOver({
    encrypts,
    source: from.take(),
    target: to.take(),
    keys,
    ended: (outcome) => {
      over();
      switch (outcome.kind) {
        case "orderly":
          options.forwardEnded?.();
          ended();
          return;
        case "broken": {
          const channel: Channel = outcome.side === "source" ? source : target;
          const words = socketFailure(outcome.code, outcome.words);
          failed(new SpipedError("SPIPED_RESET", `${outcome.side} ${channel.peer}: ${words}`));
          return;
        }
        case "failed":
          failed(outcome.error);
      }
    },
  });
  pair = handedOver;
  return {
    get bytesForward() {
      return handedOver.bytesForward;
    },
    get bytesReverse() {
      return handedOver.bytesReverse;
    },
    stop: () => {
      if (isOver) return;
      over();
      handedOver.stop();
    },
  };
}

let running = 0;
let alive: NodeJS.Timeout | undefined;

/** The threads do not keep the program alive; the connections that they have do. */
function began(): void {
  running += 1;
  alive ??= setInterval(() => undefined, LONGEST_INTERVAL_MS);
}

function oneLess(): void {
  running -= 1;
  if (running > 0) return;
  clearInterval(alive);
  alive = undefined;
}

/**
 * Whether there is a relay. Starts its threads the first time: where they will be needed, so that the first connection
 * need not.
 */
export function relayRuns(): boolean {
  return theRelay() !== undefined;
}

function theRelay(): PacketRelay | undefined {
  relay ??= startRelay();
  return relay === "off" ? undefined : relay;
}

function startRelay(): PacketRelay | "off" {
  const { relay: isWanted, threads, coalescing } = flowSettings();
  if (!isWanted) return "off";
  try {
    return new PacketRelay({ threads, coalescing, heldBytes: MAX_BUFFERED_BYTES });
  } catch (cause) {
    // Too few tasks are left, say. The pumps need none, but take more of the processor.
    const why = `no threads for the relay: ${messageOf(cause)}`;
    process.emitWarning(`${why}; connections are served without them until the next start`, "SpipedWarning");
    return "off";
  }
}
