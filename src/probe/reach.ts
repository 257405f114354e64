/**
 * The first steps of every probe: resolve the target, and connect to the first of its addresses that accepts.
 */

import { codeOf, SpipedError } from "../errors.js";
import { type Address, formatAddress, type HostAddress, type SocketAddress, type TcpAddress } from "../net/address.js";
import { Cancellation } from "../net/cancellation.js";
import type { Channel } from "../net/channel.js";
import { DescriptorBudget } from "../net/descriptors.js";
import { dial } from "../net/dial.js";
import { reasonOf } from "../net/dial-failures.js";
import { resolve } from "../net/resolver.js";
import { createReadBuffer } from "../net/socket-reader.js";
import type { ConnectionAttempt, Finding, NameOutcome } from "./findings.js";

/** The target of a probe, and how to connect to it. */
export interface ReachOptions {
  readonly target: Address;
  readonly bind: HostAddress | undefined;
  readonly keepAlive: boolean;
  /** For each step. */
  readonly timeoutMs: number;
}

/** An open connection. */
export interface Reached {
  readonly channel: Channel;
  /**
   * Opens another connection to the same address.
   *
   * @throws SpipedError as `dial` does.
   */
  again(): Promise<Channel>;
}

/**
 * Resolves the target and connects to it.
 *
 * @returns Undefined if either failed.
 */
export async function* reach(options: ReachOptions): AsyncGenerator<Finding, Reached | undefined> {
  const { target, timeoutMs } = options;
  const found = await lookup(target, timeoutMs);
  yield { step: "name", address: target, outcome: found.outcome };
  if (found.addresses === undefined) return undefined;
  const bind = options.bind === undefined ? undefined : await lookup(options.bind, timeoutMs);
  if (options.bind !== undefined && bind?.outcome.kind === "failed") {
    yield { step: "bind", address: options.bind, outcome: bind.outcome };
    return undefined;
  }
  const local = bind?.addresses?.filter((one) => one.kind === "tcp");
  const waiting = [...found.addresses];
  const attempts: ConnectionAttempt[] = [];
  const until = performance.now() + timeoutMs;
  for (let address = waiting.shift(); address !== undefined; address = waiting.shift()) {
    // Share the time, so that a silent address leaves some for those after it.
    const shareMs = Math.max(1, (until - performance.now()) / (waiting.length + 1));
    const one = address;
    const connect = (limitMs: number) => dialOne(options, one, local, limitMs);
    const startedAt = performance.now();
    try {
      const channel = await connect(shareMs);
      attempts.push({ address, durationMs: performance.now() - startedAt, outcome: { kind: "connected" } });
      yield { step: "connection", attempts, untried: waiting };
      return { channel, again: () => connect(timeoutMs) };
    } catch (error) {
      attempts.push({ address, durationMs: performance.now() - startedAt, outcome: failureOf(error) });
    }
  }
  yield { step: "connection", attempts, untried: [] };
  return undefined;
}

/** Probes only whether the target accepts a connection. */
export async function* probeReach(options: ReachOptions): AsyncGenerator<Finding> {
  (yield* reach(options))?.channel.close();
}

interface LookupResult {
  readonly outcome: NameOutcome;
  readonly addresses: readonly SocketAddress[] | undefined;
}

async function lookup(address: Address, timeoutMs: number): Promise<LookupResult> {
  const startedAt = performance.now();
  try {
    const addresses = await resolve(address, { timeoutMs });
    const durationMs = performance.now() - startedAt;
    const isLiteral = address.kind === "unix" || (address.literal && /^\d+$/.test(address.service));
    return { outcome: isLiteral ? { kind: "literal" } : { kind: "found", addresses, durationMs }, addresses };
  } catch (error) {
    if (!(error instanceof SpipedError)) throw error;
    return { outcome: { kind: "failed", error }, addresses: undefined };
  }
}

function dialOne(
  { keepAlive }: ReachOptions,
  address: SocketAddress,
  bind: readonly TcpAddress[] | undefined,
  timeoutMs: number,
): Promise<Channel> {
  return dial({
    addresses: [address],
    name: formatAddress(address),
    bind,
    timeoutMs,
    keepAlive,
    readBuffer: createReadBuffer(),
    exactLength: 0,
    descriptors: DescriptorBudget.measure(),
    signal: new Cancellation(),
  });
}

function failureOf(error: unknown): ConnectionAttempt["outcome"] {
  if (!(error instanceof SpipedError)) throw error;
  if (error.code === "SPIPED_TIMEOUT") return { kind: "no-answer" };
  if (error.code !== "SPIPED_CONNECT") throw error;
  return { kind: "failed", code: codeOf(error.cause), reason: reasonOf(error.cause) };
}
