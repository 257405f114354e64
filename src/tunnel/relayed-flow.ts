/**
 * Both directions of a connection on the relay's threads, for two sockets. The connection still decides what an end
 * means for each side; the sockets' channels end them through the relay.
 */

import { SpipedError } from "../errors.js";
import { type Channel, socketFailure } from "../net/channel.js";
import { PacketRelay, type RelayedPair } from "../protocol/packet-relay.js";
import { systemReason } from "../system-reason.js";
import type { Flow, FlowOptions } from "./flow.js";
import { flowSettings } from "./flow-settings.js";
import { MAX_BUFFERED_BYTES } from "./memory.js";

const LONGEST_INTERVAL_MS = 2 ** 31 - 1;

let relay: PacketRelay | "off" | undefined;

/**
 * Hands a connection over to the relay.
 *
 * @returns Undefined if not possible: one side is not a socket with a known descriptor, or has unwritten data.
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
  addConnection();
  let isOver = false;
  const over = () => {
    isOver = true;
    removeConnection();
  };
  // The channels release their descriptors before the relay uses the sockets, so that each operation is done once, and
  // each connection has exactly two descriptors by the time data arrives.
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

/** The relay's threads do not keep the process alive; their connections must. */
function addConnection(): void {
  running += 1;
  alive ??= setInterval(() => undefined, LONGEST_INTERVAL_MS);
}

function removeConnection(): void {
  running -= 1;
  if (running > 0) return;
  clearInterval(alive);
  alive = undefined;
}

/**
 * Whether the relay is available. Starts its threads on the first call; call it early to spare the first connection
 * that time.
 */
export function isRelayAvailable(): boolean {
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
    return new PacketRelay({ threads, coalescing, maxBufferedBytes: MAX_BUFFERED_BYTES });
  } catch (cause) {
    // For example, the process may not create more threads. Pumps need none, but use more CPU.
    const why = `no threads for the relay: ${systemReason(cause)}`;
    process.emitWarning(`${why}; connections are served without them until the next start`, "SpipedWarning");
    return "off";
  }
}
