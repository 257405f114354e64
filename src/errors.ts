/**
 * Closed lists of everything that can go wrong: the codes of errors, and the reasons why a connection ends.
 *
 * The codes are grouped by whose fault the error is, which determines who is told and in how much detail.
 */

/** All codes of a {@link SpipedError}; docs/library.md gives the cause and the remedy of each. */
export const ERROR_CODES = [
  // The operator: wrong arguments, files or addresses; in a program, wrong options. A one-line message, exit status 1.
  "SPIPED_USAGE",
  "SPIPED_CONFIG",
  "SPIPED_OPTION",
  "SPIPED_ADDRESS",
  "SPIPED_KEY_FILE",
  "SPIPED_LISTEN",
  "SPIPED_RESOLVE",
  "SPIPED_ADDON",
  "SPIPED_PID_FILE",
  "SPIPED_USER",
  "SPIPED_DAEMON",
  "SPIPED_LIMIT",
  "SPIPED_OUTPUT",
  // The network: unreachable, too slow, or interrupted.
  "SPIPED_CONNECT",
  "SPIPED_TIMEOUT",
  "SPIPED_RESET",
  "SPIPED_TRUNCATED",
  // The peer: a different key or invalid data. The peer is never told which.
  "SPIPED_HANDSHAKE_ENDED",
  "SPIPED_WRONG_MAC",
  "SPIPED_SAME_ROLE",
  "SPIPED_DH_OUT_OF_RANGE",
  "SPIPED_FORWARD_SECRECY_REQUIRED",
  "SPIPED_PACKET_MAC",
  "SPIPED_PACKET_LENGTH",
  // Nobody: a protocol limit, a requested end, or too many unauthenticated clients.
  "SPIPED_PACKET_NUMBERS_USED_UP",
  "SPIPED_CANCELLED",
  "SPIPED_CROWDED_OUT",
  // The system: no random bytes.
  "SPIPED_RANDOM",
  // Ours: a bug in this program. SPIPED_INTERNAL stands for any unexpected exception.
  "SPIPED_BUFFER",
  "SPIPED_STEP",
  "SPIPED_INTERNAL",
] as const;

/** The stable code of a {@link SpipedError}. */
export type ErrorCode = (typeof ERROR_CODES)[number];

/** Whether `text` is the code of a {@link SpipedError}. */
export function isErrorCode(text: string | undefined): text is ErrorCode {
  return (ERROR_CODES as readonly (string | undefined)[]).includes(text);
}

/** The class of all errors that this package throws. */
export class SpipedError extends Error {
  override readonly name = "SpipedError";
  readonly code: ErrorCode;
  /** What to do about the error, if there is more to say than the message does. */
  readonly hint: string | undefined;

  constructor(
    code: ErrorCode,
    message: string,
    options: { readonly cause?: unknown; readonly hint?: string | undefined } = {},
  ) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.code = code;
    this.hint = options.hint;
  }
}

/**
 * Why a connection ended; each connection has exactly one reason.
 *
 * - `closed`: both directions ended in an orderly way.
 * - `connect-failed`: the target could not be reached.
 * - `handshake-failed`: the peer has a different key, or does not speak spiped.
 * - `timed-out`: the target or the handshake took longer than allowed.
 * - `packet-rejected`: a packet's MAC or length was wrong.
 * - `truncated`: the encrypted stream ended inside a packet.
 * - `reset`: either side was reset or failed.
 * - `cancelled`: this program was told to stop.
 * - `crowded-out`: the client had not authenticated yet when newer clients needed its slot.
 * - `failed`: a bug in this program, or this machine lacks a resource.
 *
 * Source: docs/protocol.md, "How a connection ends".
 */
export type EndReason =
  | "closed"
  | "connect-failed"
  | "handshake-failed"
  | "timed-out"
  | "packet-rejected"
  | "truncated"
  | "reset"
  | "cancelled"
  | "crowded-out"
  | "failed";

/** The reason to report when this error ends a connection. */
export function endReasonOf(error: SpipedError): EndReason {
  switch (error.code) {
    case "SPIPED_CONNECT":
    case "SPIPED_RESOLVE":
      return "connect-failed";
    case "SPIPED_TIMEOUT":
      return "timed-out";
    case "SPIPED_HANDSHAKE_ENDED":
    case "SPIPED_WRONG_MAC":
    case "SPIPED_SAME_ROLE":
    case "SPIPED_DH_OUT_OF_RANGE":
    case "SPIPED_FORWARD_SECRECY_REQUIRED":
      return "handshake-failed";
    case "SPIPED_PACKET_MAC":
    case "SPIPED_PACKET_LENGTH":
      return "packet-rejected";
    case "SPIPED_TRUNCATED":
      return "truncated";
    case "SPIPED_RESET":
      return "reset";
    case "SPIPED_CANCELLED":
      return "cancelled";
    case "SPIPED_CROWDED_OUT":
      return "crowded-out";
    case "SPIPED_USAGE":
    case "SPIPED_CONFIG":
    case "SPIPED_OPTION":
    case "SPIPED_ADDRESS":
    case "SPIPED_KEY_FILE":
    case "SPIPED_LISTEN":
    case "SPIPED_ADDON":
    case "SPIPED_PID_FILE":
    case "SPIPED_USER":
    case "SPIPED_DAEMON":
    case "SPIPED_LIMIT":
    case "SPIPED_OUTPUT":
    case "SPIPED_PACKET_NUMBERS_USED_UP":
    case "SPIPED_RANDOM":
    case "SPIPED_BUFFER":
    case "SPIPED_STEP":
    case "SPIPED_INTERNAL":
      return "failed";
  }
}

/** Whether an error is a bug in this program, which should be reported. */
export function isInternalError({ code }: SpipedError): boolean {
  return code === "SPIPED_BUFFER" || code === "SPIPED_STEP" || code === "SPIPED_INTERNAL";
}

/** The stack of a thrown value's root cause, line by line. */
export function stackOf(thrown: unknown): readonly string[] {
  let bottom = thrown;
  // Limited, in case a chain of causes is circular.
  for (let links = 0; links < 10 && bottom instanceof Error && bottom.cause instanceof Error; links += 1) {
    bottom = bottom.cause;
  }
  const text = bottom instanceof Error ? (bottom.stack ?? String(bottom)) : String(bottom);
  return text.split("\n").map((line) => line.trim());
}

/** The message of a thrown value. */
export function messageOf(thrown: unknown): string {
  return thrown instanceof Error ? thrown.message : String(thrown);
}

/** The `code` of a thrown value, which errors of Node and of the addon have. */
export function codeOf(thrown: unknown): string | undefined {
  if (thrown instanceof Error && "code" in thrown && typeof thrown.code === "string") return thrown.code;
  return undefined;
}

/** Whether the error means that this process or the machine has too many open files. */
export function isLimit(thrown: unknown): boolean {
  return ["EMFILE", "ENFILE"].includes(codeOf(thrown) ?? "");
}
