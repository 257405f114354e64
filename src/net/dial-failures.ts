/**
 * Errors for a target that cannot be reached.
 */

import { codeOf, SpipedError } from "../errors.js";
import { systemReason } from "../system-reason.js";
import { formatAddress, type SocketAddress } from "./address.js";

interface DialTarget {
  /** The target as the user wrote it. */
  readonly name: string;
  readonly timeoutMs: number;
}

/** The failure of one address, as part of a message. */
export function failureOf(address: SocketAddress, cause: unknown): string {
  return `${formatAddress(address)}: ${reasonOf(cause)}`;
}

/** The message for a system error. */
export function reasonOf(cause: unknown): string {
  return REASONS[codeOf(cause) ?? ""] ?? systemReason(cause);
}

/**
 * The error when all addresses have failed.
 *
 * @param cause - The error of the last address.
 */
export function cannotConnect({ name }: DialTarget, failures: readonly string[], cause: unknown): SpipedError {
  const user = process.geteuid?.();
  // Only a UNIX socket has permissions.
  const isRefused = codeOf(cause) === "EACCES" && name.startsWith("/") && user !== undefined;
  return new SpipedError("SPIPED_CONNECT", `cannot connect to ${name}: ${detail(name, failures)}`, {
    cause,
    ...(isRefused ? { hint: `user ${user} needs write access to the socket, and access to its folder` } : {}),
  });
}

/** The error when no address has answered in time. */
export function noAnswer({ name, timeoutMs }: DialTarget, failures: readonly string[]): SpipedError {
  const before = failures.length === 0 ? "" : ` (before that: ${detail(name, failures)})`;
  return new SpipedError("SPIPED_TIMEOUT", `no answer from ${name} within ${timeoutMs / 1_000} s${before}`);
}

/** The error when the caller has cancelled. */
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
