/**
 * What there is to see of a service without sending it anything, but for a PROXY header where it expects one.
 */

import { type Channel, sendAhead } from "../net/channel.js";
import { ownProxyHeader } from "../net/proxy-header.js";
import { NONCE_BYTES } from "../protocol/constants.js";
import { detectProtocol } from "../protocol/detect-protocol.js";
import type { Finding, ServiceOutcome } from "./findings.js";
import { Heard } from "./heard.js";
import { type ReachOptions, reach } from "./reach.js";

/** How long is waited for somebody to speak first, or to hang up: who allows more for a slow link allows more for that. */
export function listeningMs(timeoutMs: number): number {
  return timeoutMs / 5;
}

/** How long the other side may take to end a connection in order; then it is reset. */
const LEAVE_MS = 1_000;

/** What a tunnel says of the service behind it. */
export interface ServiceOptions extends ReachOptions {
  /** Whether the service expects a PROXY header before it says anything. */
  readonly proxyProtocol: boolean;
}

/** Probes a service that is spoken to in cleartext. */
export async function* probeService(options: ServiceOptions): AsyncGenerator<Finding> {
  const reached = yield* reach(options);
  if (reached === undefined) return;
  const heard = new Heard(reached.channel);
  if (options.proxyProtocol) sendAhead(reached.channel, ownProxyHeader());
  const startedAt = performance.now();
  await heard.until(() => heard.bytes.length > 0, listeningMs(options.timeoutMs));
  yield { step: "service", outcome: outcomeOf(heard.bytes, heard, startedAt) };
  await leave(reached.channel, heard);
}

/** @param said - What the service has said. */
export function outcomeOf(said: Uint8Array, { ending }: Heard, startedAt: number): ServiceOutcome {
  const durationMs = performance.now() - startedAt;
  if (said.length > 0) {
    const recognised = detectProtocol(said, { isAll: true });
    if (recognised === undefined && said.length === NONCE_BYTES) return { kind: "says-nonce" };
    return { kind: "says", recognised, bytes: said.length };
  }
  return ending === undefined ? { kind: "silent", waitedMs: durationMs } : { kind: "closed", how: ending, durationMs };
}

/** Ends a connection in order, so that nothing of it stays on the other side. */
export async function leave(channel: Channel, heard: Heard): Promise<void> {
  if (heard.ending === undefined) {
    channel.writable.end();
    await heard.until(() => false, LEAVE_MS);
  }
  if (heard.ending === undefined) channel.reset();
  else channel.close();
}
