/**
 * The results of a probe, step by step, as data. The command line turns them into messages.
 */

import type { SpipedError } from "../errors.js";
import type { Address, SocketAddress } from "../net/address.js";
import type { DetectedProtocol } from "../protocol/detect-protocol.js";

/** One step and its outcome. */
export type Finding =
  | { readonly step: "name"; readonly address: Address; readonly outcome: NameOutcome }
  | { readonly step: "bind"; readonly address: Address; readonly outcome: NameOutcome }
  | ConnectionFinding
  | { readonly step: "answer"; readonly outcome: AnswerOutcome }
  | { readonly step: "handshake"; readonly outcome: HandshakeOutcome }
  | { readonly step: "forward-secrecy"; readonly outcome: ForwardSecrecyOutcome }
  | { readonly step: "service"; readonly outcome: ServiceOutcome };

/** The result of resolving an address. */
export type NameOutcome =
  /** Nothing to resolve. */
  | { readonly kind: "literal" }
  | { readonly kind: "found"; readonly addresses: readonly SocketAddress[]; readonly durationMs: number }
  | { readonly kind: "failed"; readonly error: SpipedError };

/** The addresses that were tried, in order; only the last one can have connected. */
export interface ConnectionFinding {
  readonly step: "connection";
  readonly attempts: readonly ConnectionAttempt[];
  /** The addresses after the one that connected. */
  readonly untried: readonly SocketAddress[];
}

/** An attempt to connect to one address. */
export interface ConnectionAttempt {
  readonly address: SocketAddress;
  readonly durationMs: number;
  readonly outcome:
    | { readonly kind: "connected" }
    | { readonly kind: "no-answer" }
    | {
        readonly kind: "failed";
        /** The system's error code, if there is one: for example `ECONNREFUSED`. */
        readonly code: string | undefined;
        readonly reason: string;
      };
}

/** How a peer closed a connection. */
export type Ending = "ended" | "reset";

/** What the peer sends first. */
export type AnswerOutcome =
  /** A nonce, as spiped does. */
  | { readonly kind: "nonce"; readonly durationMs: number }
  | { readonly kind: "foreign"; readonly recognized: DetectedProtocol }
  /** It echoes what it receives. */
  | { readonly kind: "echo" }
  /** It sent more than spiped does before it receives anything. */
  | { readonly kind: "talkative"; readonly bytes: number }
  /** It sent fewer bytes than a nonce has, and then nothing more. */
  | { readonly kind: "silent"; readonly bytes: number; readonly waitedMs: number }
  | {
      readonly kind: "closed";
      readonly how: Ending;
      /** Whether this side had sent its nonce by then, which it only does if the peer sends nothing. */
      readonly afterSending: boolean;
      readonly bytes: number;
      readonly durationMs: number;
    };

/** The result of the handshake. */
export type HandshakeOutcome =
  | { readonly kind: "done"; readonly durationMs: number }
  /** The peer closed or reset the connection when it had received enough to verify this side's key. */
  | { readonly kind: "closed"; readonly how: Ending; readonly bytes: number }
  | { readonly kind: "silent"; readonly bytes: number; readonly waitedMs: number }
  /** The peer is a client too, or this process itself. */
  | { readonly kind: "same-role"; readonly error: SpipedError }
  /** The peer's answer has the right length and the wrong content. */
  | { readonly kind: "wrong-answer"; readonly error: SpipedError };

/** Which end has disabled forward secrecy. */
export type ForwardSecrecyOutcome =
  | { readonly kind: "both" }
  | { readonly kind: "disabled-here" }
  | { readonly kind: "disabled-there"; readonly isRequired: boolean }
  | { readonly kind: "disabled-by-both" }
  /** The peer rejects this side with forward secrecy disabled, and accepts it with forward secrecy. */
  | { readonly kind: "required-there" };

/** What a service does if it is sent nothing. */
export type ServiceOutcome =
  | { readonly kind: "says"; readonly recognized: DetectedProtocol | undefined; readonly bytes: number }
  /** As many bytes as a nonce, not text: probably spiped. */
  | { readonly kind: "says-nonce" }
  | { readonly kind: "silent"; readonly waitedMs: number }
  | { readonly kind: "closed"; readonly how: Ending; readonly durationMs: number }
  /** The far end closed the connection before it was sent anything. */
  | { readonly kind: "hung-up-unasked"; readonly how: Ending }
  /** The far end reset the connection after it had authenticated this side, before it answered. */
  | { readonly kind: "reset-early" }
  | { readonly kind: "wrong-packet"; readonly error: SpipedError };
