// Which secrets of a key file, a handshake and a connection must or must not be in a running command's memory.

import assert from "node:assert/strict";
import type { TestContext } from "node:test";
import { until } from "./cleanup.js";
import type { Command } from "./command.js";
import type { Established } from "./one-end.js";
import { exponentsIn, type Finding, findSecrets, namesOf, whyUnreadable } from "./process-memory.js";
import type { ReferencePeer } from "./reference-peer.js";
import { publicValueOf, secretOf } from "./reference-protocol.js";
import { aesKey, exponent, hmacKey, plainSecret, residue, type Secret } from "./secret-forms.js";

/** Key pairs that a tunnel generates ahead. */
const KEY_PAIRS_AHEAD = 16;

/** What may be in memory while a connection is open. */
export const PACKET_KEYS: readonly string[] = ["E_C", "H_C", "E_S", "H_S"];

/** Both ways to compute the MACs of packets. */
export const macs = [
  { mac: "the processor's MACs", env: {} },
  { mac: "portable MACs", env: { SPIPED_PORTABLE_MAC: "1" } },
] as const;

/** Skips with a message if the memory of a command cannot be searched here. */
export function isSkipped(t: TestContext, command: Pick<Command, "id">): boolean {
  const reason = whyUnreadable(command.id);
  if (reason === undefined) return false;
  process.stderr.write(`SKIPPED: ${reason}\n`);
  t.skip(reason);
  return true;
}

/** The exponents of the key pairs generated ahead, once all are there. */
export function exponentsAhead({ id }: Pick<Command, "id">, count = KEY_PAIRS_AHEAD): Promise<readonly bigint[]> {
  return until(() => {
    const found = exponentsIn(id);
    return found.length >= count ? found : undefined;
  }, `${count} exponents`);
}

/** Asserts that these secrets, and no others of the list, are in memory. */
export function holds({ id }: Pick<Command, "id">, secrets: readonly Secret[], names: readonly string[]): void {
  const found = findSecrets(id, secrets);
  assert.deepEqual(namesOf(found, secrets), names, linesOf(found));
}

/** The same, waiting until it is true. */
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
 * @param ahead - Exponents that the command had ready, including the one it used; none if it has turned off forward
 *   secrecy.
 */
export function ofConnection(peer: ReferencePeer, ahead: readonly bigint[]): readonly Secret[] {
  const { ySC } = peer.secrets;
  const x = ahead.find((candidate) => publicValueOf(candidate) === peer.peerY);
  assert.ok(x !== undefined || peer.peerY === 1n, "a pair that was ready is used");
  return [
    ...ofDhMacs(peer),
    ...(x === undefined ? [] : [exponent("x", x)]),
    // 1 is not a secret.
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
