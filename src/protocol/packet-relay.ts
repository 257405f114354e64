/**
 * Packets without JavaScript: threads of the addon move the bytes of two sockets until their connection ends. Who opens
 * the sockets, and how each of them ends, is decided elsewhere.
 *
 * Source: DESIGN.md, "Data path"; the threads are `crates/spiped-relay`.
 */

import { SpipedError } from "../errors.js";
import { addon, type RelayEnd } from "../native/native.js";
import type { SessionKeys } from "./handshake.js";
import { asSpipedError } from "./native-errors.js";

/** One of a connection's two sockets. */
export type Side = "source" | "target";

/** How a connection ended, as the threads saw it. */
export type RelayOutcome =
  | { readonly kind: "orderly" }
  /** Reading or writing the socket of one side failed: the name of the error, and the system's words for it. */
  | { readonly kind: "broken"; readonly side: Side; readonly code: string; readonly words: string }
  | { readonly kind: "failed"; readonly error: SpipedError };

/** What is handed over. */
export interface RelayRequest {
  /** True where cleartext comes in at the source, and packets at the target. */
  readonly encrypts: boolean;
  /** Descriptors of connected stream sockets; the relay's from now on, whatever happens. */
  readonly source: number;
  readonly target: number;
  /** Used up. */
  readonly keys: SessionKeys;
  /** Told once, unless the pair was stopped before. */
  readonly ended: (outcome: RelayOutcome) => void;
}

/** Two sockets in the hands of the relay. */
export interface RelayedPair {
  /** Bytes of cleartext so far, from the source to the target and back. */
  readonly bytesForward: number;
  readonly bytesReverse: number;
  /** Moves no more bytes, and wipes the keys. */
  stop(): void;
  /** Closes or resets a socket, as soon as the relay no longer uses it. */
  end(side: Side, resets: boolean): void;
}

/** How a relay works. */
export interface RelaySettings {
  readonly threads: number;
  /** Whether busy streams of small messages wait up to 1 ms before they are read. */
  readonly coalescing: boolean;
  /** Bytes that full receivers may hold in memory, all together. */
  readonly heldBytes: number;
}

/** The relay's threads. `handOver` gives them two sockets and the keys for good. They do not keep the program alive. */
export class PacketRelay {
  readonly #native: InstanceType<typeof addon.Relay>;
  readonly #pairs = new Map<number, (outcome: RelayOutcome) => void>();
  #nextId = 1;

  /** @throws where the system gives no threads. */
  constructor({ threads, coalescing, heldBytes }: RelaySettings) {
    this.#native = new addon.Relay(threads, coalescing, heldBytes, (id, end) => this.#ended(id, end));
  }

  /** Takes two sockets over. */
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
        // After an orderly end the threads have closed both.
        if (isClosed) return;
        if (side === "source") pair.endSource(resets);
        else pair.endTarget(resets);
      },
    };
  }

  #ended(id: number, end: RelayEnd | null): void {
    const told = this.#pairs.get(id);
    this.#pairs.delete(id);
    told?.(end === null ? { kind: "orderly" } : outcomeOf(end));
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

/** The packets end inside one. */
export function truncated(pendingBytes: number): SpipedError {
  return new SpipedError("SPIPED_TRUNCATED", `stream ended inside a packet, after ${pendingBytes} of its bytes`);
}
