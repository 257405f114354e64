// The handshake's dialogue in both roles, against a peer with or without the key whose bytes are changed, cut or
// invented, and arrive in any pieces. It must end with matching keys or with the right reason.

import assert from "node:assert/strict";
import type { ErrorCode } from "#dist/errors.js";
import type { ForwardSecrecy, SessionKeys } from "#dist/protocol/handshake.js";
import { handshakeAsClient, handshakeAsServer } from "#dist/tunnel/handshake.js";
import { keyedClient, keyedServer, keyPairFor, sharedKeyOf } from "../../unit/support/handshakes.js";
import { MemoryChannel } from "../../unit/support/memory-channel.js";
import { eventLoopTurns, KeepingSink } from "../../unit/support/sink.js";
import { Choices, spipedError, type Target } from "../target.js";

const key = sharedKeyOf(Buffer.from("a key"));
const peerNonce = new Uint8Array(32).fill(0x77);
const modes = ["off", "off", "off", "allow", "require"] as const;

/** What the peer does. */
interface Plan {
  readonly mode: ForwardSecrecy;
  readonly peerMode: ForwardSecrecy;
  /** Changes of its 320 bytes, `[at, xor]`. */
  readonly changes: ReadonlyArray<readonly [number, number]>;
  /** How many of its bytes arrive before it ends; undefined for all of them and no end. */
  readonly cut: number | undefined;
  readonly pieceBytes: number;
  /** What it sends instead of its own 288 bytes. */
  readonly junk: Uint8Array | undefined;
  /** What it sends after them. */
  readonly behind: Uint8Array;
}

export const handshakes: Target = {
  name: "handshakes",
  words: [
    "\u0000\u0000\u0000",
    "\u0001\u0000\u0000",
    "\u0000\u0003\u0001",
    "\u0001\u0004\u0000",
    "\u0000\u0000\u0000\u0001\u0000\u0005\u0010",
  ],
  async run(input) {
    const choices = new Choices(input);
    const role = choices.of(["client", "server"] as const);
    const plan: Plan = {
      mode: choices.of(modes),
      peerMode: choices.of(["off", "off", "allow"] as const),
      changes: Array.from({ length: choices.byte() % 3 }, () => [choices.below(320), choices.byte()] as const),
      cut: choices.byte() % 4 === 3 ? choices.below(320) : undefined,
      pieceBytes: choices.of([320, 1, 31, 32, 33, 287, 288, 289, 7]),
      junk: choices.byte() % 4 === 3 ? made(choices.bytes(288)) : undefined,
      behind: choices.rest().subarray(0, 3_000),
    };
    await (role === "client" ? asClient(plan) : asServer(plan));
  },
};

/** 288 bytes. */
function made(bytes: Uint8Array): Uint8Array {
  return bytes.length === 0 ? new Uint8Array(288) : Buffer.alloc(288, bytes);
}

async function asServer(plan: Plan): Promise<void> {
  const channel = new MemoryChannel(320);
  let known = 0;
  const over = new AbortController();
  const options = { channel, key, forwardSecrecy: plan.mode, signal: over.signal };
  const keys = outcome(
    handshakeAsServer(options, () => {
      known += 1;
    }),
  );
  const nonceS = await channel.read(32);
  const client = keyedClient(key, plan.peerMode, { nonceC: peerNonce, nonceS });
  const own = client.macedPublic(await keyPairFor(plan.peerMode));
  await send(channel, plan, Buffer.concat([peerNonce, plan.junk ?? own]));
  const expected = expectedOf(plan);
  const { error, value } = await keys;
  check(error, expected);
  assert.equal(known, Number(expected === undefined), "no report of a client that has not proved the key");
  if (value === undefined) {
    assert.equal(channel.waitingBytes, 0, "the peer is told nothing");
    client.destroy();
    return;
  }
  client.verify(await channel.read(288));
  await carries(value, await client.deriveKeys());
  await leaves(channel, plan.behind);
}

async function asClient(plan: Plan): Promise<void> {
  const channel = new MemoryChannel(320);
  const over = new AbortController();
  const keys = outcome(handshakeAsClient({ channel, key, forwardSecrecy: plan.mode, signal: over.signal }));
  const nonceC = await channel.read(32);
  // The client sends its part once it has the nonce, changed or not; the peer goes on as if it had sent that nonce.
  const changed = changedBytes(Buffer.concat([peerNonce, new Uint8Array(288)]), plan).subarray(0, 32);
  const cut = plan.cut ?? Number.POSITIVE_INFINITY;
  await send(channel, { ...plan, changes: [], behind: new Uint8Array() }, changed);
  let server: ReturnType<typeof keyedServer> | undefined;
  if (cut >= 32) {
    const macedPublic = await channel.read(288);
    server = keyedServer(key, plan.peerMode, { nonceC, nonceS: peerNonce });
    let own: Uint8Array = new Uint8Array(288);
    try {
      server.verify(macedPublic);
      own = server.macedPublic(await keyPairFor(plan.peerMode));
    } catch {
      // With a changed nonce the server cannot recognize the client; the client sends something all the same.
    }
    const bytes = changedBytes(Buffer.concat([peerNonce, plan.junk ?? own]), plan).subarray(32);
    const rest = { ...plan, changes: [], cut: plan.cut === undefined ? undefined : cut - 32 };
    await send(channel, rest, bytes);
  }
  const { error, value } = await keys;
  check(error, expectedOf(plan));
  assert.equal(channel.waitingBytes, 0, "the peer is told nothing");
  if (value === undefined || server === undefined) return;
  await carries(await server.deriveKeys(), value.native);
  value.destroy();
  await leaves(channel, plan.behind);
}

function changedBytes(bytes: Buffer, { changes }: Plan): Buffer {
  const changed = Buffer.from(bytes);
  for (const [at, xor] of changes) changed.writeUInt8(changed.readUInt8(at) ^ xor, at);
  return changed;
}

/** The reason it must fail for; undefined if both must have keys. */
function expectedOf(plan: Plan): ErrorCode | undefined {
  if (plan.cut !== undefined) return "SPIPED_HANDSHAKE_ENDED";
  const isChanged = !changedBytes(Buffer.alloc(320), plan).equals(Buffer.alloc(320));
  if (plan.junk !== undefined || isChanged) return "SPIPED_WRONG_MAC";
  return plan.mode === "require" && plan.peerMode === "off" ? "SPIPED_FORWARD_SECRECY_REQUIRED" : undefined;
}

function check(error: unknown, expected: ErrorCode | undefined): void {
  if (error === undefined) assert.equal(expected, undefined, `keys instead of ${expected}`);
  else assert.equal(spipedError(error).code, expected);
}

async function send({ input }: MemoryChannel, plan: Plan, bytes: Buffer): Promise<void> {
  const changed = changedIf(bytes, plan);
  const all = Buffer.concat([changed, plan.behind]).subarray(0, plan.cut ?? Number.POSITIVE_INFINITY);
  for (let at = 0; at < all.length; at += plan.pieceBytes) {
    input.write(all.subarray(at, at + plan.pieceBytes));
    if (at % 64 < plan.pieceBytes) await eventLoopTurns(1);
  }
  if (plan.cut !== undefined && plan.cut <= bytes.length && !input.writableEnded) input.end();
}

function changedIf(bytes: Buffer, plan: Plan): Buffer {
  return plan.changes.length === 0 ? bytes : changedBytes(bytes, plan);
}

async function outcome(
  keys: Promise<SessionKeys>,
): Promise<{ readonly value?: SessionKeys; readonly error?: unknown }> {
  try {
    return { value: await keys };
  } catch (error) {
    return { error };
  }
}

/** Each side must open what the other seals, both ways. */
async function carries(one: SessionKeys | SessionKeys["native"], other: SessionKeys | SessionKeys["native"]) {
  const sealing = "takeSealer" in one ? one : one.native;
  const opening = "takeSealer" in other ? other : other.native;
  for (const [from, to] of [
    [sealing, opening],
    [opening, sealing],
  ] as const) {
    const packet = new Uint8Array(1_060);
    const room = new Uint8Array(2_048);
    from.takeSealer().seal(Buffer.from("hello"), packet);
    assert.equal(to.takeOpener().open(packet, room), 5);
    assert.equal(Buffer.from(room.subarray(0, 5)).toString(), "hello");
  }
}

/** The bytes after the handshake must be kept whole, for packets. */
async function leaves(channel: MemoryChannel, behind: Uint8Array): Promise<void> {
  const sink = new KeepingSink();
  channel.reader.flowInto(sink);
  await sink.untilBytes(behind.length);
  assert.deepEqual(Buffer.from(sink.bytes), Buffer.from(behind));
}
