/**
 * What a probe finds out, step by step: facts without a word for people, which are the command line's.
 */

import type { SpipedError } from "../errors.js";
import type { Address, SocketAddress } from "../net/address.js";
import type { DetectedProtocol } from "../protocol/detect-protocol.js";

/** One step and what came of it. */
export type Finding =
  | { readonly step: "name"; readonly address: Address; readonly outcome: NameOutcome }
  | { readonly step: "bind"; readonly address: Address; readonly outcome: NameOutcome }
  | ConnectionFinding
  | { readonly step: "answer"; readonly outcome: AnswerOutcome }
  | { readonly step: "handshake"; readonly outcome: HandshakeOutcome }
  | { readonly step: "forward-secrecy"; readonly outcome: ForwardSecrecyOutcome }
  | { readonly step: "service"; readonly outcome: ServiceOutcome };

/** What a written address stands for. */
export type NameOutcome =
  /** There was nothing to look up. */
  | { readonly kind: "literal" }
  | { readonly kind: "found"; readonly addresses: readonly SocketAddress[]; readonly durationMs: number }
  | { readonly kind: "failed"; readonly error: SpipedError };

/** The addresses that were tried, in their order; at most the last one connected. */
export interface ConnectionFinding {
  readonly step: "connection";
  readonly attempts: readonly ConnectionAttempt[];
  /** Those behind the one that connected. */
  readonly untried: readonly SocketAddress[];
}

/** What became of one address. */
export interface ConnectionAttempt {
  readonly address: SocketAddress;
  readonly durationMs: number;
  readonly outcome:
    | { readonly kind: "connected" }
    | { readonly kind: "no-answer" }
    | {
        readonly kind: "failed";
        /** The system's name for it, `ECONNREFUSED` say, where it has one. */
        readonly code: string | undefined;
        readonly reason: string;
      };
}

/** How a peer let go. */
export type Ending = "ended" | "reset";

/** What the peer says first. */
export type AnswerOutcome =
  /** As many random bytes as spiped sends. */
  | { readonly kind: "nonce"; readonly durationMs: number }
  | { readonly kind: "foreign"; readonly recognised: DetectedProtocol }
  /** It sends back what it is sent. */
  | { readonly kind: "echo" }
  /** More than spiped sends before it is answered. */
  | { readonly kind: "talkative"; readonly bytes: number }
  /** Fewer bytes than spiped sends, and then nothing for so long. */
  | { readonly kind: "silent"; readonly bytes: number; readonly waitedMs: number }
  | {
      readonly kind: "closed";
      readonly how: Ending;
      /** Whether that was after this side had spoken, which it only does where the other says nothing. */
      readonly whenSpokenTo: boolean;
      readonly bytes: number;
      readonly durationMs: number;
    };

/** How the exchange of keys went. */
export type HandshakeOutcome =
  | { readonly kind: "done"; readonly durationMs: number }
  /** It ended, or was reset, once the peer could tell whether this side has the key. */
  | { readonly kind: "closed"; readonly how: Ending; readonly bytes: number }
  | { readonly kind: "silent"; readonly bytes: number; readonly waitedMs: number }
  /** It is a client as well, or this end itself. */
  | { readonly kind: "same-role"; readonly error: SpipedError }
  /** The peer has the length of an answer right, and not the answer. */
  | { readonly kind: "wrong-answer"; readonly error: SpipedError };

/** Who gives forward secrecy up. */
export type ForwardSecrecyOutcome =
  | { readonly kind: "both" }
  | { readonly kind: "given-up-here" }
  | { readonly kind: "given-up-there"; readonly isRequired: boolean }
  | { readonly kind: "given-up-by-both" }
  /** The peer refuses this side for giving it up, and takes it when it does not. */
  | { readonly kind: "required-there" };

/** What there is to see of a service without sending it anything. */
export type ServiceOutcome =
  | { readonly kind: "says"; readonly recognised: DetectedProtocol | undefined; readonly bytes: number }
  /** Just as many bytes that are no text as spiped says first. */
  | { readonly kind: "says-nonce" }
  | { readonly kind: "silent"; readonly waitedMs: number }
  | { readonly kind: "closed"; readonly how: Ending; readonly durationMs: number }
  /** The far end let go before it was told anything. */
  | { readonly kind: "hung-up-unasked"; readonly how: Ending }
  /** The far end, which knew this side's key by then, reset the connection before keys were exchanged. */
  | { readonly kind: "reset-early" }
  | { readonly kind: "wrong-packet"; readonly error: SpipedError };
