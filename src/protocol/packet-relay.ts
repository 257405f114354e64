/**
 * Relays packets without JavaScript: threads of the addon move data between two sockets until the connection ends. The
 * caller opens the sockets and decides how each of them is closed.
 *
 * Source: DESIGN.md, "Data path"; the threads are `crates/spiped-relay`.
 */

import { SpipedError } from "../errors.js";
import { addon, type RelayEnd } from "../native/native.js";
import type { SessionKeys } from "./handshake.js";
import { asSpipedError } from "./native-errors.js";

/** One of a connection's two sockets. */
export type Side = "source" | "target";

/** How a relayed connection ended. */
export type RelayOutcome =
  | { readonly kind: "orderly" }
  /** Reading or writing the socket of one side failed, with the error's code and the system's message. */
  | { readonly kind: "broken"; readonly side: Side; readonly code: string; readonly words: string }
  | { readonly kind: "failed"; readonly error: SpipedError };

/** A connection to hand over. */
export interface RelayRequest {
  /** Whether the source carries cleartext and the target packets, or the other way round. */
  readonly encrypts: boolean;
  /** Descriptors of connected stream sockets. The relay takes ownership, even if it fails. */
  readonly source: number;
  readonly target: number;
  /** Consumed. */
  readonly keys: SessionKeys;
  /** Called once, unless the pair is stopped before. */
  readonly ended: (outcome: RelayOutcome) => void;
}

/** Two sockets that the relay owns. */
export interface RelayedPair {
  /** Cleartext bytes so far, from the source to the target and back. */
  readonly bytesForward: number;
  readonly bytesReverse: number;
  /** Stops moving data, and wipes the keys. */
  stop(): void;
  /** Closes or resets a socket as soon as the relay no longer uses it. */
  end(side: Side, resets: boolean): void;
}

/** The settings of a relay. */
export interface RelaySettings {
  readonly threads: number;
  /** Whether to delay reads of busy streams of small messages by up to 1 ms. */
  readonly coalescing: boolean;
  /** Limit of all data that is buffered for slow receivers, in bytes. */
  readonly maxBufferedBytes: number;
}

/** The relay's threads. They do not keep the process alive. */
export class PacketRelay {
  readonly #native: InstanceType<typeof addon.Relay>;
  readonly #pairs = new Map<number, (outcome: RelayOutcome) => void>();
  #nextId = 1;

  /** @throws if the threads cannot be started. */
  constructor({ threads, coalescing, maxBufferedBytes }: RelaySettings) {
    this.#native = new addon.Relay(threads, coalescing, maxBufferedBytes, (id, end) => this.#ended(id, end));
  }

  /** Takes over two sockets and the keys of their connection. */
  handOver({ encrypts, source, target, keys, ended }: RelayRequest): RelayedPair {
    const id = this.#nextId;
    this.#nextId += 1;
    const pair = this.#native.handOver(id, encrypts, source, target, keys.native);
    let isClosed = false;
    this.#pairs.set(id, (outcome) => {
      isClosed = outcome.kind === "orderly";
      ended(outcome);
    });
    return {
      get bytesForward() {
        return pair.bytesForward;
      },
      get bytesReverse() {
        return pair.bytesReverse;
      },
      stop: () => {
        this.#pairs.delete(id);
        pair.stop();
      },
      end: (side, resets) => {
        // After an orderly end, the threads have closed both sockets.
        if (isClosed) return;
        if (side === "source") pair.endSource(resets);
        else pair.endTarget(resets);
      },
    };
  }

  #ended(id: number, end: RelayEnd | null): void {
    const listener = this.#pairs.get(id);
    this.#pairs.delete(id);
    listener?.(end === null ? { kind: "orderly" } : outcomeOf(end));
  }
}

function outcomeOf({ kind, side, code, message, pendingBytes }: RelayEnd): RelayOutcome {
  const words = message ?? "";
  switch (kind) {
    case "truncated":
      return { kind: "failed", error: truncated(pendingBytes ?? 0) };
    case "broken":
      return { kind: "broken", side: side === "source" ? "source" : "target", code: code ?? "", words };
    case "cancelled":
      return { kind: "failed", error: new SpipedError("SPIPED_CANCELLED", "shutting down") };
    default:
      return { kind: "failed", error: asSpipedError(Object.assign(new Error(words), { code })) };
  }
}

/** The error when the packet stream ends inside a packet. */
export function truncated(pendingBytes: number): SpipedError {
  return new SpipedError("SPIPED_TRUNCATED", `stream ended inside a packet, after ${pendingBytes} of its bytes`);
}
