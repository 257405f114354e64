/**
 * Guesses what the peer of a failed handshake is, from the bytes it sent. Operators often have the wrong port, role or
 * program there. Used only after a handshake has failed, so it costs successful ones nothing.
 *
 * What each end sees if the roles are wrong:
 *
 * - Two clients joined by something that both dial, or a client that reached itself or an echo service: each sends its
 *   nonce, takes the other's for a server's, and sends y ‖ h. The addon finds that h is valid for a client:
 *   `SPIPED_SAME_ROLE`.
 * - A client that dials the source of another `-e`, where it looks like a cleartext program. Its nonce, 32 bytes, is
 *   left unread until the second end has finished its own handshake, and is still there if that one fails. The first
 *   end receives nothing, or whatever the service behind both sends.
 * - Two servers joined by something that dials both: each sends its nonce, receives the other's, and waits with 32
 *   bytes of 320.
 * - A program other than spiped at the source of a `-d`: whatever it sends first, mostly text or TLS, is not a
 *   handshake.
 */

import { SpipedError } from "../errors.js";
import { HANDSHAKE_BYTES, NONCE_BYTES } from "../protocol/constants.js";
import { detectProtocol, type DetectedProtocol as Language, protocolName } from "../protocol/detect-protocol.js";

/**
 * What a peer was recognized as.
 *
 * - `http`, `ssh`, `text`, `tls`: it speaks that.
 * - `proxy-header`: a proxy in front of this end announces its client.
 * - `silent`: it sent nothing at all.
 * - `same-role`: it is a client where a server belongs, a server where a client belongs, or this end itself.
 * - `client-of-client`: the client of this `-e` is a spiped client too.
 */
export const RECOGNIZED = [
  "http",
  "ssh",
  "text",
  "tls",
  "proxy-header",
  "silent",
  "same-role",
  "client-of-client",
] as const satisfies ReadonlyArray<Language["kind"] | "silent" | "same-role" | "client-of-client">;

/** See {@link RECOGNIZED}. */
export type Recognized = (typeof RECOGNIZED)[number];

/** What was recognized, and by which side: each has its own hint. */
export interface Recognition {
  readonly kind: Recognized;
  readonly role: "encrypt" | "decrypt";
}

/** The facts about a failed handshake. */
export interface FailedHandshake {
  readonly role: "encrypt" | "decrypt";
  readonly error: SpipedError;
  /** Handshake bytes received from the peer; undefined if unknown. */
  readonly seen: Uint8Array | undefined;
  /** The first unread bytes from the accepted side of an `-e`; undefined if unknown. */
  readonly waiting: Uint8Array | undefined;
}

/** How many bytes of the accepted side to look at: a spiped client sends its nonce and nothing after it. */
export const TELLING_BYTES = NONCE_BYTES + 1;

/** Errors that say something about the peer. */
const OF_PEER = ["SPIPED_HANDSHAKE_ENDED", "SPIPED_RESET", "SPIPED_TIMEOUT", "SPIPED_WRONG_MAC", "SPIPED_SAME_ROLE"];

/** Returns what the peer seems to be and an error that says so, or the error unchanged if nothing is recognized. */
export function recognize(failed: FailedHandshake): {
  readonly error: SpipedError;
  readonly recognized: Recognition | undefined;
} {
  const { error, role } = failed;
  const found = OF_PEER.includes(error.code) ? find(failed) : undefined;
  if (found === undefined) return { error, recognized: undefined };
  const { kind, words } = found;
  const message = [...originalMessage(error, kind), words].join("; ");
  return { error: new SpipedError(error.code, message, { cause: error }), recognized: { kind, role } };
}

/** The original error message, if it adds something to what the peer seems to be. */
function originalMessage({ code, message }: SpipedError, kind: Recognized): readonly string[] {
  if (code === "SPIPED_WRONG_MAC" || code === "SPIPED_SAME_ROLE") return [];
  // The message for `silent` says this already.
  return code === "SPIPED_HANDSHAKE_ENDED" && kind === "silent" ? [] : [message];
}

interface Found {
  readonly kind: Recognized;
  readonly words: string;
}

function find({ role, error, seen, waiting }: FailedHandshake): Found | undefined {
  if (error.code === "SPIPED_SAME_ROLE") return { kind: "same-role", words: error.message };
  const language = seen === undefined ? undefined : detectProtocol(seen, { isAll: seen.length < NONCE_BYTES });
  const isSilent = seen?.length === 0;
  if (waiting !== undefined && isLikeNonce(waiting)) {
    const peer = language === undefined ? NOT_A_SERVER : `the peer speaks ${protocolName(language)}`;
    const words = `${isSilent ? SILENT : peer}, and the client looks like spiped too`;
    return { kind: "client-of-client", words };
  }
  if (language !== undefined) {
    return { kind: language.kind, words: `the peer is not spiped: it speaks ${protocolName(language)}` };
  }
  if (isSilent) return { kind: "silent", words: error.code === "SPIPED_HANDSHAKE_ENDED" ? error.message : SILENT };
  const waits = role === "decrypt" && seen?.length === NONCE_BYTES && error.code === "SPIPED_TIMEOUT";
  return waits ? { kind: "same-role", words: WAITS } : undefined;
}

/** Whether it has the length of a nonce and is not text, which a program would send first. */
function isLikeNonce(waiting: Uint8Array): boolean {
  return waiting.length === NONCE_BYTES && detectProtocol(waiting, { isAll: true }) === undefined;
}

const SILENT = `the peer sent nothing (0 of ${HANDSHAKE_BYTES} handshake bytes)`;
const NOT_A_SERVER = "the peer is not a spiped server";
const WAITS = `the peer is waiting too, as a server does (${NONCE_BYTES} of ${HANDSHAKE_BYTES} handshake bytes)`;
