// Recorded connections with the C original, test/vectors/transcript.json, replayed by the addon.
//
// A transcript contains the exponent of one side. That side is replayed in full. The exponent of the other side is not
// known. It is replayed in full if it turned off forward secrecy. Otherwise it verifies what the side with the exponent
// sent, and seals and opens under the keys derived from y_SC.

import assert from "node:assert/strict";
import { test } from "node:test";
import { addon } from "#dist/native/native.js";
import type { ForwardSecrecy } from "#dist/protocol/handshake.js";
import { Opener, Sealer } from "#dist/protocol/packets.js";
import { numberOf, openPacket, packetKeysOf, type Role, secretOf } from "../../support/reference-protocol.js";
import { flipped, piecesOf, publicValueBytes, sameBytes, splits } from "../support/bytes.js";
import { throwsCode, throwsSpipedError } from "../support/errors.js";
import { keyedClient, keyedServer, sharedKeyOf } from "../support/handshakes.js";
import {
  parseTranscriptVector,
  type RecordedSide,
  rawVectors,
  type TranscriptVector,
  transcriptVectors,
} from "../support/vectors.js";

/** A transcript from the place of one of its sides. */
interface Replay {
  readonly role: Role;
  readonly own: RecordedSide;
  readonly peer: RecordedSide;
}

for (const vector of transcriptVectors) {
  const { name, xIs } = vector;
  const known = replayAs(vector, xIs);
  const other = replayAs(vector, otherRole(xIs));
  const weakY = publicValueBytes(1n);

  for (const mode of modesOf(known.own)) {
    test(`transcript ${name}: the ${xIs} with forward secrecy "${mode}" sends the recorded bytes`, async () => {
      const keyPair =
        mode === "off" ? addon.KeyPair.withoutForwardSecrecy() : await addon.KeyPair.fromExponent(vector.x);
      const { sealer, opener } = await replayHandshake(vector, known, mode, keyPair);
      replayPackets(vector, known, sealer, opener);
    });
  }

  if (Buffer.compare(other.own.dh.subarray(0, 256), weakY) === 0) {
    test(`transcript ${name}: the ${other.role} without forward secrecy sends the recorded bytes`, async () => {
      const keyPair = addon.KeyPair.withoutForwardSecrecy();
      const { sealer, opener } = await replayHandshake(vector, other, "off", keyPair);
      replayPackets(vector, other, sealer, opener);
    });
  } else {
    test(`transcript ${name}: the ${other.role} takes what the ${xIs} sent, and its packets are those of y_SC`, () => {
      verifierOf(vector, other)(known.own.dh);
      const { sealer, opener } = framingOfSharedValue(vector, other);
      replayPackets(vector, other, sealer, opener);
    });
  }

  test(`transcript ${name}: a server finds each flipped bit of what the client sent in the handshake`, () => {
    const { client, server } = vector;
    for (let bit = 0; bit < 8 * client.dh.length; bit += 1) {
      const verify = verifierOf(vector, { role: "server", own: server, peer: client });
      throwsCode(() => verify(flipped(client.dh, bit)), "SPIPED_WRONG_MAC", `bit ${bit}`);
    }
    for (let bit = 0; bit < 256; bit += 1) {
      const changed = { ...client, nonce: flipped(client.nonce, bit) };
      const verify = verifierOf(vector, { role: "server", own: server, peer: changed });
      throwsCode(() => verify(client.dh), "SPIPED_WRONG_MAC", `bit ${bit} of the nonce`);
    }
  });

  for (const [side, mode] of [
    [known, "require"],
    [other, "require"],
  ] as const) {
    if (Buffer.compare(side.peer.dh.subarray(0, 256), weakY) !== 0) continue;
    test(`transcript ${name}: the ${side.role} that requires forward secrecy refuses its peer`, async () => {
      const verify = await verifierAfterSending(vector, side, mode);
      throwsCode(() => verify(side.peer.dh), "SPIPED_FORWARD_SECRECY_REQUIRED");
    });
  }

  for (const role of ["client", "server"] as const) {
    const { peer } = replayAs(vector, role);
    for (const length of splits) {
      test(`transcript ${name}: the ${role} opens the recorded packets in pieces of ${length} bytes`, () => {
        const { opener } = framingOfSharedValue(vector, replayAs(vector, role));
        const opened: Uint8Array[] = [];
        for (const piece of piecesOf(Buffer.concat(peer.packets), length)) {
          const room = new Uint8Array(opener.outputLength(piece.length));
          opened.push(room.subarray(0, opener.transform(piece, room)));
        }
        sameBytes(Buffer.concat(opened), vector.cleartextBothWays);
        assert.equal(opener.pendingBytes, 0);
      });
    }

    test(`transcript ${name}: the ${role} refuses recorded packets that are left out, repeated or swapped`, () => {
      const [first, second, third] = peer.packets;
      assert.ok(first !== undefined && second !== undefined && third !== undefined);
      for (const wrong of [
        [second],
        [first, first],
        [first, third],
        [first, third, second],
        [first, second, first],
        ...peer.packets.flatMap((packet, at) =>
          [0, 8 * 1_024, 8 * 1_059].map((bit) => peer.packets.with(at, flipped(packet, bit))),
        ),
      ]) {
        const { opener } = framingOfSharedValue(vector, replayAs(vector, role));
        const room = new Uint8Array(4 * 1_024);
        throwsSpipedError(() => opener.transform(Buffer.concat(wrong), room), "SPIPED_PACKET_MAC", /MAC/);
      }
    });
  }
}

test("a transcript with an unknown field is refused, wherever it stands", () => {
  for (const vector of rawVectors("transcript.json").map(Object)) {
    assert.throws(() => parseTranscriptVector({ ...vector, y: "00" }), /unknown fields: y/);
    const clientSends = { ...vector.clientSends, version: "1" };
    assert.throws(() => parseTranscriptVector({ ...vector, clientSends }), /unknown fields: version/);
  }
});

function otherRole(role: Role): Role {
  return role === "client" ? "server" : "client";
}

function replayAs({ client, server }: TranscriptVector, role: Role): Replay {
  return role === "client" ? { role, own: client, peer: server } : { role, own: server, peer: client };
}

/** What a side may have had for forward secrecy, as its y shows. */
function modesOf({ dh }: RecordedSide): readonly ForwardSecrecy[] {
  return numberOf(dh.subarray(0, 256)) === 1n ? ["off"] : ["allow"];
}

async function replayHandshake(
  { keyFile }: TranscriptVector,
  { role, own, peer }: Replay,
  mode: ForwardSecrecy,
  keyPair: InstanceType<typeof addon.KeyPair>,
): Promise<{ readonly sealer: Sealer; readonly opener: Opener }> {
  const key = sharedKeyOf(keyFile);
  const handshake =
    role === "client"
      ? new addon.ClientHandshake(key, mode, own.nonce)
      : new addon.ServerHandshake(key, mode, own.nonce);
  sameBytes(handshake.nonce, own.nonce);
  handshake.receiveNonce(peer.nonce);
  if (role === "server") handshake.verify(peer.dh);
  sameBytes(handshake.macedPublic(keyPair), own.dh);
  if (role === "client") handshake.verify(peer.dh);
  const keys = await handshake.deriveKeys();
  return { sealer: new Sealer(keys.takeSealer()), opener: new Opener(keys.takeOpener()) };
}

function replayPackets(vector: TranscriptVector, { role, own, peer }: Replay, sealer: Sealer, opener: Opener): void {
  let at = 0;
  for (const [number, packet] of own.packets.entries()) {
    // How much one read gave the original decides how the data is cut, so the recorded packets say it.
    const { length } = openPacket(packetKeys(vector)[role], BigInt(number), packet);
    const sealed = new Uint8Array(1_060);
    assert.equal(sealer.transform(vector.cleartextBothWays.subarray(at, at + length), sealed), 1_060);
    sameBytes(sealed, packet, `packet ${number}`);
    at += length;
  }
  assert.equal(at, vector.cleartextBothWays.length);
  const room = new Uint8Array(peer.packets.length * 1_024);
  const length = opener.transform(Buffer.concat(peer.packets), room);
  sameBytes(room.subarray(0, length), vector.cleartextBothWays);
}

function framingOfSharedValue(vector: TranscriptVector, { role }: Replay): { sealer: Sealer; opener: Opener } {
  const keys = packetKeys(vector);
  const [own, peer] = [keys[role], keys[otherRole(role)]];
  return {
    sealer: new Sealer(addon.Sealer.fromKeys(own.E, own.H, 0n)),
    opener: new Opener(addon.Opener.fromKeys(peer.E, peer.H, 0n)),
  };
}

function packetKeys({ keyFile, client, server, ySC }: TranscriptVector) {
  return packetKeysOf(secretOf(keyFile), client.nonce, server.nonce, numberOf(ySC));
}

/** `verify` of a side that has sent nothing but its nonce, or, for a client, any public value. */
function verifierOf({ keyFile }: TranscriptVector, { role, own, peer }: Replay): (maced: Uint8Array) => void {
  const key = sharedKeyOf(keyFile);
  if (role === "server") {
    const server = keyedServer(key, "off", { nonceC: peer.nonce, nonceS: own.nonce });
    return (maced) => server.verify(maced);
  }
  const client = keyedClient(key, "off", { nonceC: own.nonce, nonceS: peer.nonce });
  client.macedPublic(addon.KeyPair.withoutForwardSecrecy());
  return (maced) => client.verify(maced);
}

async function verifierAfterSending(
  { keyFile }: TranscriptVector,
  { role, own, peer }: Replay,
  mode: ForwardSecrecy,
): Promise<(maced: Uint8Array) => void> {
  const key = sharedKeyOf(keyFile);
  if (role === "server") {
    const server = keyedServer(key, mode, { nonceC: peer.nonce, nonceS: own.nonce });
    return (maced) => server.verify(maced);
  }
  const client = keyedClient(key, mode, { nonceC: own.nonce, nonceS: peer.nonce });
  client.macedPublic(await addon.KeyPair.generate());
  return (maced) => client.verify(maced);
}
