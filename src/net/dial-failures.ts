/**
 * Why a target cannot be reached, in words for the operator.
 */

import { codeOf, messageOf, SpipedError } from "../errors.js";
import { formatAddress, type SocketAddress } from "./address.js";

interface Dialled {
  /** The target as written. */
  readonly name: string;
  readonly timeoutMs: number;
}

/** What became of one address. */
export function failureOf(address: SocketAddress, cause: unknown): string {
  return `${formatAddress(address)}: ${reasonOf(cause)}`;
}

/** What the system's error means. */
export function reasonOf(cause: unknown): string {
  return REASONS[codeOf(cause) ?? ""] ?? messageOf(cause);
}

/**
 * All addresses have failed.
 *
 * @param cause - The last one's error.
 */
export function cannotConnect({ name }: Dialled, failures: readonly string[], cause: unknown): SpipedError {
  return new SpipedError("SPIPED_CONNECT", `cannot connect to ${name}: ${detail(name, failures)}`, { cause });
}

/** None of them has answered in time. */
export function noAnswer({ name, timeoutMs }: Dialled, failures: readonly string[]): SpipedError {
  const before = failures.length === 0 ? "" : ` (before that: ${detail(name, failures)})`;
  return new SpipedError("SPIPED_TIMEOUT", `no answer from ${name} within ${timeoutMs / 1_000} s${before}`);
}

/** Nobody waits for it any more. */
export function cancelled(): SpipedError {
  return new SpipedError("SPIPED_CANCELLED", "cancelled while connecting");
}

function detail(name: string, failures: readonly string[]): string {
  const [only, ...more] = failures;
  if (only !== undefined && more.length === 0) return only.replace(`${name}: `, "");
  return failures.join("; ");
}

const REASONS: Readonly<Record<string, string>> = {
  ECONNREFUSED: "connection refused",
  ECONNRESET: "connection reset by peer",
  EHOSTUNREACH: "no route to host",
  ENETUNREACH: "network unreachable",
  ENOENT: "no such socket",
  EACCES: "permission denied",
  EADDRNOTAVAIL: "local address not available",
  EADDRINUSE: "local address in use",
  ETIMEDOUT: "no answer",
};
