/**
 * Probes a service without sending it anything, except for a PROXY header if it expects one.
 */

import { type Channel, sendAhead } from "../net/channel.js";
import { ownProxyHeader } from "../net/proxy-header.js";
import { NONCE_BYTES } from "../protocol/constants.js";
import { detectProtocol } from "../protocol/detect-protocol.js";
import type { Finding, ServiceOutcome } from "./findings.js";
import { type ReachOptions, reach } from "./reach.js";
import { Recording } from "./recording.js";

/** How long to wait for the peer to send first or to close. Scales with the timeout, which is longer for slow links. */
export function listeningMs(timeoutMs: number): number {
  return timeoutMs / 5;
}

/** How long to wait for the peer to close the connection before resetting it. */
const LEAVE_MS = 1_000;

/** Options of a probe of a service. */
export interface ServiceOptions extends ReachOptions {
  /** Whether the service expects a PROXY header before it says anything. */
  readonly proxyProtocol: boolean;
}

/** Probes a service over a cleartext connection. */
export async function* probeService(options: ServiceOptions): AsyncGenerator<Finding> {
  const reached = yield* reach(options);
  if (reached === undefined) return;
  const recording = new Recording(reached.channel);
  if (options.proxyProtocol) sendAhead(reached.channel, ownProxyHeader());
  const startedAt = performance.now();
  await recording.until(() => recording.bytes.length > 0, listeningMs(options.timeoutMs));
  yield { step: "service", outcome: outcomeOf(recording.bytes, recording, startedAt) };
  await closeCleanly(reached.channel, recording);
}

/** @param received - What the service has sent. */
export function outcomeOf(received: Uint8Array, { ending }: Recording, startedAt: number): ServiceOutcome {
  const durationMs = performance.now() - startedAt;
  if (received.length > 0) {
    const recognized = detectProtocol(received, { isAll: true });
    if (recognized === undefined && received.length === NONCE_BYTES) return { kind: "says-nonce" };
    return { kind: "says", recognized, bytes: received.length };
  }
  return ending === undefined ? { kind: "silent", waitedMs: durationMs } : { kind: "closed", how: ending, durationMs };
}

/** Closes a connection cleanly, so that the peer does not keep it half open. */
export async function closeCleanly(channel: Channel, recording: Recording): Promise<void> {
  if (recording.ending === undefined) {
    channel.writable.end();
    await recording.until(() => false, LEAVE_MS);
  }
  if (recording.ending === undefined) channel.reset();
  else channel.close();
}
