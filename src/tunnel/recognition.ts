/**
 * What the peer of a handshake that failed seems to be, from what it has sent: for the operator, who often has the wrong
 * port, the wrong role or the wrong program there. Only asked when a handshake has failed; a good one pays nothing.
 *
 * What two ends in wrong roles see of each other, byte by byte:
 *
 * - Two clients, joined by something that both dial, or one that has reached itself or an echo: each sends its nonce, takes
 *   the other's for a server's, and sends y ‖ h. The addon finds that h is right for a client: `SPIPED_SAME_ROLE`.
 * - A client that dials the source of another `-e`: there it is a program with cleartext. Its nonce, 32 bytes, waits to be
 *   read until the second end has had its own handshake, and if that one fails, they still lie there. The first end gets
 *   nothing, or what the service behind both says.
 * - Two servers, joined by something that dials both: each sends its nonce, gets the other's, and waits: 32 bytes of 320.
 * - A program, not a client, at the source of a `-d`: whatever it says first, text or TLS mostly, is no handshake.
 */

import { SpipedError } from "../errors.js";
import { HANDSHAKE_BYTES, NONCE_BYTES } from "../protocol/constants.js";
import { detectProtocol, type DetectedProtocol as Language, protocolName } from "../protocol/detect-protocol.js";

/**
 * What a peer was recognised as.
 *
 * - `http`, `ssh`, `text`, `tls`: it speaks that.
 * - `proxy-header`: a proxy in front of this end says who its client is.
 * - `silent`: it sent nothing at all.
 * - `same-role`: it is a client where a server belongs, or a server where a client belongs; or this end itself.
 * - `client-of-client`: whoever connected to this `-e` is a spiped client too.
 */
export const RECOGNISED = [
  "http",
  "ssh",
  "text",
  "tls",
  "proxy-header",
  "silent",
  "same-role",
  "client-of-client",
] as const satisfies ReadonlyArray<Language["kind"] | "silent" | "same-role" | "client-of-client">;

/** See {@link RECOGNISED}. */
export type Recognised = (typeof RECOGNISED)[number];

/** What was recognised, and by which side: the hint is another one for each. */
export interface Recognition {
  readonly kind: Recognised;
  readonly role: "encrypt" | "decrypt";
}

/** What is known of a handshake that failed. */
export interface FailedHandshake {
  readonly role: "encrypt" | "decrypt";
  readonly error: SpipedError;
  /** What the peer has sent of its handshake; undefined where nobody knows. */
  readonly seen: Uint8Array | undefined;
  /** The start of what the accepted side of an `-e` has sent and nobody has read; undefined where nobody knows. */
  readonly waiting: Uint8Array | undefined;
}

/** So many bytes of the accepted side tell a spiped client: its nonce, and no byte behind it. */
export const TELLING_BYTES = NONCE_BYTES + 1;

/** What a handshake that failed can mean for the peer; other errors have nothing to do with it. */
const OF_PEER = ["SPIPED_HANDSHAKE_ENDED", "SPIPED_RESET", "SPIPED_TIMEOUT", "SPIPED_WRONG_MAC", "SPIPED_SAME_ROLE"];

/** What the peer seems to be, and the error in words that say so; the error as it is where nothing can be said. */
export function recognise(failed: FailedHandshake): {
  readonly error: SpipedError;
  readonly recognised: Recognition | undefined;
} {
  const { error, role } = failed;
  const found = OF_PEER.includes(error.code) ? find(failed) : undefined;
  if (found === undefined) return { error, recognised: undefined };
  const { kind, words } = found;
  const message = [...before(error, kind), words].join("; ");
  return { error: new SpipedError(error.code, message, { cause: error }), recognised: { kind, role } };
}

/** When and how it ended, where that is worth a word besides what the peer seems to be. */
function before({ code, message }: SpipedError, kind: Recognised): readonly string[] {
  if (code === "SPIPED_WRONG_MAC" || code === "SPIPED_SAME_ROLE") return [];
  // That nothing has come says the end itself.
  return code === "SPIPED_HANDSHAKE_ENDED" && kind === "silent" ? [] : [message];
}

interface Found {
  readonly kind: Recognised;
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

/** Whether it is as long as a nonce, and no text, as a program would say first. */
function isLikeNonce(waiting: Uint8Array): boolean {
  return waiting.length === NONCE_BYTES && detectProtocol(waiting, { isAll: true }) === undefined;
}

const SILENT = `the peer sent nothing (0 of ${HANDSHAKE_BYTES} handshake bytes)`;
const NOT_A_SERVER = "the peer is not a spiped server";
const WAITS = `the peer is waiting too, as a server does (${NONCE_BYTES} of ${HANDSHAKE_BYTES} handshake bytes)`;
