// Which secrets a running command must have in memory, and must not: those of a key file, of a handshake and of a
// connection, as the test's peer knows them.

import assert from "node:assert/strict";
import type { TestContext } from "node:test";
import { until } from "./cleanup.js";
import type { Command } from "./command.js";
import type { Established } from "./one-end.js";
import { exponentsIn, type Finding, findSecrets, namesOf, whyUnreadable } from "./process-memory.js";
import type { ReferencePeer } from "./reference-peer.js";
import { publicValueOf, secretOf } from "./reference-protocol.js";
import { aesKey, exponent, hmacKey, plainSecret, residue, type Secret } from "./secret-forms.js";

/** Pairs that a tunnel keeps ready. */
const KEY_PAIRS_AHEAD = 16;

/** What may be there while a connection is open. */
export const PACKET_KEYS: readonly string[] = ["E_C", "H_C", "E_S", "H_S"];

/** Both ways to compute the MACs of packets. */
export const macs = [
  { mac: "the processor's MACs", env: {} },
  { mac: "portable MACs", env: { SPIPED_PORTABLE_MAC: "1" } },
] as const;

/** Says loudly that the memory of a command cannot be searched here. */
export function isSkipped(t: TestContext, command: Pick<Command, "id">): boolean {
  const reason = whyUnreadable(command.id);
  if (reason === undefined) return false;
  process.stderr.write(`SKIPPED: ${reason}\n`);
  t.skip(reason);
  return true;
}

/** The exponents of the pairs that a tunnel keeps ready, once there are so many. */
export function exponentsAhead({ id }: Pick<Command, "id">, count = KEY_PAIRS_AHEAD): Promise<readonly bigint[]> {
  return until(() => {
    const found = exponentsIn(id);
    return found.length >= count ? found : undefined;
  }, `${count} exponents`);
}

/** These secrets, and no others of those, are in memory. */
export function holds({ id }: Pick<Command, "id">, secrets: readonly Secret[], names: readonly string[]): void {
  const found = findSecrets(id, secrets);
  assert.deepEqual(namesOf(found, secrets), names, linesOf(found));
}

/** The same, once the command has come so far. */
export async function comesToHold(
  { id }: Pick<Command, "id">,
  secrets: readonly Secret[],
  names: readonly string[],
): Promise<void> {
  let found: readonly Finding[] = [];
  const isSo = () => {
    found = findSecrets(id, secrets);
    return namesOf(found, secrets).join() === names.join() || undefined;
  };
  await until(isSo, () => `just ${names.join(", ") || "nothing"} in memory, but there is ${linesOf(found)}`);
}

function linesOf(found: readonly Finding[]): string {
  return found.map(({ secret, where }) => `${secret} ${where}`).join("\n");
}

export async function endInPeace({ peer, plain }: Established): Promise<void> {
  peer.link.finish();
  plain.finish();
  await Promise.all([peer.link.end(), plain.end()]);
}

export function ofKey(keyFile: Uint8Array): readonly Secret[] {
  return [plainSecret("the key file", keyFile), hmacKey("K", secretOf(keyFile))];
}

export function ofDhMacs({ dhMacKeys }: ReferencePeer): readonly Secret[] {
  return [hmacKey("dhmac_C", dhMacKeys.client), hmacKey("dhmac_S", dhMacKeys.server)];
}

/**
 * @param ahead - Exponents that the command had ready, among them the one that it used; none where it gives up forward
 *   secrecy.
 */
export function ofConnection(peer: ReferencePeer, ahead: readonly bigint[]): readonly Secret[] {
  const { ySC } = peer.secrets;
  const x = ahead.find((candidate) => publicValueOf(candidate) === peer.peerY);
  assert.ok(x !== undefined || peer.peerY === 1n, "a pair that was ready is used");
  return [
    ...ofDhMacs(peer),
    ...(x === undefined ? [] : [exponent("x", x)]),
    // 1 is no secret.
    ...(ySC === 1n ? [] : [residue("y_SC", ySC)]),
    ...ofPacketKeys(peer),
  ];
}

export function ofPacketKeys({ secrets: { packetKeys } }: ReferencePeer): readonly Secret[] {
  return [
    aesKey("E_C", packetKeys.client.E),
    hmacKey("H_C", packetKeys.client.H),
    aesKey("E_S", packetKeys.server.E),
    hmacKey("H_S", packetKeys.server.H),
  ];
}
