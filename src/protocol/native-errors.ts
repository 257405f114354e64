/**
 * Converts errors of the addon to SpipedErrors with messages for the operator.
 */

import { codeOf, type ErrorCode, isErrorCode, isInternalError, messageOf, SpipedError } from "../errors.js";

/** Messages for the addon's codes. */
const MESSAGES: Partial<Record<ErrorCode, string>> = {
  SPIPED_WRONG_MAC: "wrong MAC: the peer has a different key, or is not spiped",
  SPIPED_SAME_ROLE: "the peer is a client too: another client with the same key, or this end itself",
  SPIPED_DH_OUT_OF_RANGE: "the peer's public value is out of range",
  SPIPED_FORWARD_SECRECY_REQUIRED: "the peer has turned forward secrecy off, and this end requires it",
  SPIPED_PACKET_MAC: "wrong packet MAC: the data was changed in transit",
  SPIPED_PACKET_LENGTH: "packet length out of range",
  SPIPED_PACKET_NUMBERS_USED_UP: "packet numbers exhausted",
  SPIPED_KEY_FILE: "the key is empty, and an empty key is not secret",
  SPIPED_RANDOM: "the system provides no random bytes",
};

const REPORT = "this is a bug in spiped; please report it";

/**
 * Converts any thrown value to a SpipedError. Errors that come neither from this program nor from the addon become
 * `SPIPED_INTERNAL`.
 */
export function asSpipedError(thrown: unknown): SpipedError {
  if (thrown instanceof SpipedError) return thrown;
  const code = codeOf(thrown);
  if (!isErrorCode(code)) {
    return new SpipedError("SPIPED_INTERNAL", `internal error: ${messageOf(thrown)}`, { cause: thrown, hint: REPORT });
  }
  const error = new SpipedError(code, MESSAGES[code] ?? messageOf(thrown), { cause: thrown });
  return isInternalError(error) ? new SpipedError(code, error.message, { cause: thrown, hint: REPORT }) : error;
}
