// The order of messages in the handshake, over in-memory channels.

import assert from "node:assert/strict";
import { Transform } from "node:stream";
import { test } from "node:test";
import { addon } from "#dist/native/native.js";
import type { ForwardSecrecy, SessionKeys } from "#dist/protocol/handshake.js";
import { handshakeAsClient, handshakeAsServer } from "#dist/tunnel/handshake.js";
import {
  checkPublicValue,
  dhMacKeysOf,
  macPublicValue,
  p,
  packetKeysOf,
  type Role,
  sealPacket,
  secretOf,
} from "../../support/reference-protocol.js";
import { flipped, sameBytes } from "../support/bytes.js";
import { rejectsSpipedError } from "../support/errors.js";
import { sharedKeyOf } from "../support/handshakes.js";
import { MemoryChannel } from "../support/memory-channel.js";
import { eventLoopTurns, KeepingSink } from "../support/sink.js";

const keyFile = Buffer.from("the key file");
const key = sharedKeyOf(keyFile);
const secret = secretOf(keyFile);
const peerNonce = new Uint8Array(32).fill(0x77);
const roles: readonly Role[] = ["client", "server"];

/** A side under test, and what the test knows of it. */
interface Side {
  readonly channel: MemoryChannel;
  readonly keys: Promise<SessionKeys>;
  /** How often the server has reported that the client is authenticated. */
  known(): number;
  /** Ends the connection for another reason. */
  giveUp(reason: Error): void;
}

function start(role: Role, forwardSecrecy: ForwardSecrecy = "off"): Side {
  const channel = new MemoryChannel(320);
  const over = new AbortController();
  const options = { channel, key, forwardSecrecy, signal: over.signal };
  let known = 0;
  const keys =
    role === "client"
      ? handshakeAsClient(options)
      : handshakeAsServer(options, () => {
          known += 1;
        });
  keys.catch(() => undefined);
  return { channel, keys, known: () => known, giveUp: (reason) => over.abort(reason) };
}

/** The MAC keys of both sides, after the side under test has sent its nonce. */
function macKeysOf(role: Role, nonce: Uint8Array): Record<Role, Uint8Array> {
  return role === "client" ? dhMacKeysOf(secret, nonce, peerNonce) : dhMacKeysOf(secret, peerNonce, nonce);
}

const otherOf = (role: Role): Role => (role === "client" ? "server" : "client");

for (const mode of ["off", "allow", "require"] as const) {
  for (const pieces of ["whole", "byte by byte"] as const) {
    test(`both sides with "${mode}" agree when the bytes come ${pieces}`, async () => {
      const client = start("client", mode);
      const server = start("server", mode);
      join(client.channel, server.channel, pieces);
      join(server.channel, client.channel, pieces);
      const [keysC, keysS] = await Promise.all([client.keys, server.keys]);
      const packet = new Uint8Array(1_060);
      const room = new Uint8Array(1_024);
      for (const [sealer, opener] of [
        [keysC.sealer, keysS.opener],
        [keysS.sealer, keysC.opener],
      ] as const) {
        sealer.transform(Buffer.from("hello"), packet);
        assert.equal(opener.transform(packet, room), 5);
      }
      assert.equal(server.known(), 1);
    });
  }
}

for (const role of roles) {
  test(`a ${role} sends its nonce at once, without waiting for the other's`, async () => {
    const { channel } = start(role);
    assert.equal((await channel.read(32)).length, 32);
    await eventLoopTurns();
    assert.equal(channel.waitingBytes, 0, "and nothing behind it");
  });

  for (const pieces of ["whole", "byte by byte"] as const) {
    test(`a ${role} completes a handshake with the reference, ${pieces}`, async () => {
      const { channel, keys } = start(role);
      const nonce = await channel.read(32);
      const macKeys = macKeysOf(role, nonce);
      give(channel, Buffer.concat([peerNonce, macPublicValue(macKeys[otherOf(role)], 1n)]), pieces);
      assert.equal(checkPublicValue(macKeys[role], await channel.read(288)), 1n);
      const { sealer } = await keys;
      const nonces: readonly [Uint8Array, Uint8Array] = role === "client" ? [nonce, peerNonce] : [peerNonce, nonce];
      const packet = new Uint8Array(1_060);
      sealer.transform(Buffer.from("hello"), packet);
      sameBytes(packet, sealPacket(packetKeysOf(secret, ...nonces, 1n)[role], 0n, Buffer.from("hello")));
      assert.equal(channel.waitingBytes, 0);
    });
  }

  test(`a ${role} leaves packets right after the handshake to the reader`, async () => {
    const { channel, keys } = start(role);
    const nonce = await channel.read(32);
    const maced = macPublicValue(macKeysOf(role, nonce)[otherOf(role)], 1n);
    channel.input.end(Buffer.concat([peerNonce, maced, Buffer.from("the first packets")]));
    await keys;
    const sink = new KeepingSink();
    channel.reader.flowInto(sink);
    await sink.untilEnd();
    assert.equal(Buffer.from(sink.bytes).toString(), "the first packets");
  });

  for (const [what, y, code, mode] of [
    ["y = p", p, "SPIPED_DH_OUT_OF_RANGE", "allow"],
    ["y = 2^2048 - 1", 2n ** 2_048n - 1n, "SPIPED_DH_OUT_OF_RANGE", "require"],
    ["y = 0", 0n, "SPIPED_FORWARD_SECRECY_REQUIRED", "require"],
    ["y = 1", 1n, "SPIPED_FORWARD_SECRECY_REQUIRED", "require"],
    ["y = p - 1", p - 1n, "SPIPED_FORWARD_SECRECY_REQUIRED", "require"],
  ] as const) {
    test(`a ${role} that receives ${what} with a valid MAC fails, and sends nothing more`, async () => {
      const { channel, keys, known } = start(role, mode);
      const nonce = await channel.read(32);
      const maced = macPublicValue(macKeysOf(role, nonce)[otherOf(role)], y);
      channel.input.write(Buffer.concat([peerNonce, maced]));
      await rejectsSpipedError(keys, code, /./);
      await eventLoopTurns();
      assert.equal(channel.waitingBytes, role === "client" ? 288 : 0);
      assert.equal(known(), 0);
    });
  }

  test(`a ${role} that receives a wrong MAC fails, and sends nothing more`, async () => {
    const { channel, keys, known } = start(role);
    const nonce = await channel.read(32);
    const maced = macPublicValue(macKeysOf(role, nonce)[otherOf(role)], 1n);
    channel.input.write(Buffer.concat([peerNonce, flipped(maced, 8 * 288 - 1)]));
    await rejectsSpipedError(keys, "SPIPED_WRONG_MAC", /different key/);
    await eventLoopTurns();
    assert.equal(channel.waitingBytes, role === "client" ? 288 : 0);
    assert.equal(known(), 0);
    assert.deepEqual(channel.calls, [], "ending the channel is the caller's part");
  });

  test(`a ${role} whose own bytes are echoed fails`, async () => {
    const { channel, keys } = start(role);
    const nonce = await channel.read(32);
    channel.input.write(nonce);
    if (role === "client") channel.input.write(await channel.read(288));
    else channel.input.write(new Uint8Array(288));
    await rejectsSpipedError(keys, role === "client" ? "SPIPED_SAME_ROLE" : "SPIPED_WRONG_MAC", /./);
  });

  test(`a ${role} fails wherever the handshake is cut`, async () => {
    for (let cut = 0; cut < 320; cut += 1) {
      const { channel, keys, known } = start(role);
      const nonce = await channel.read(32);
      const maced = macPublicValue(macKeysOf(role, nonce)[otherOf(role)], 1n);
      channel.input.end(Buffer.concat([peerNonce, maced]).subarray(0, cut));
      await rejectsSpipedError(
        keys,
        "SPIPED_HANDSHAKE_ENDED",
        new RegExp(`^the peer closed the connection after ${cut} of 320 handshake bytes$`),
      );
      assert.equal(known(), 0);
    }
  });

  test(`a ${role} fails when its channel is closed during the handshake`, async () => {
    const { channel, keys } = start(role);
    channel.input.write(peerNonce);
    await channel.read(32);
    channel.input.destroy();
    await rejectsSpipedError(keys, "SPIPED_RESET", /^connection reset after \d+ of 320 handshake bytes$/);
  });
}

for (const mode of ["off", "require"] as const) {
  test(`two joined clients with "${mode}" recognize each other`, async () => {
    const [one, other] = [start("client", mode), start("client", mode)];
    join(one.channel, other.channel, "byte by byte");
    join(other.channel, one.channel, "whole");
    await rejectsSpipedError(one.keys, "SPIPED_SAME_ROLE", /a client too/);
    await rejectsSpipedError(other.keys, "SPIPED_SAME_ROLE", /a client too/);
  });
}

test("a server sends nothing more until the client's whole public value is valid", async () => {
  const { channel, keys, known } = start("server");
  const nonce = await channel.read(32);
  const maced = macPublicValue(macKeysOf("server", nonce).client, 1n);
  channel.input.write(Buffer.concat([peerNonce, maced.subarray(0, 287)]));
  await eventLoopTurns();
  assert.equal(channel.waitingBytes, 0);
  assert.equal(known(), 0);
  channel.input.write(maced.subarray(287));
  assert.equal((await channel.read(288)).length, 288);
  await keys;
  assert.equal(known(), 1);
});

test("a server reports the client as authenticated before it answers", async () => {
  const channel = new MemoryChannel(320);
  const heard: string[] = [];
  const { signal } = new AbortController();
  const write = channel.writable.write.bind(channel.writable);
  channel.writable.write = (bytes: Uint8Array) => {
    heard.push(`${bytes.length} bytes`);
    return write(bytes);
  };
  const keys = handshakeAsServer({ channel, key, forwardSecrecy: "off", signal }, () => {
    heard.push("client known");
    return undefined;
  });
  const maced = macPublicValue(macKeysOf("server", await channel.read(32)).client, 1n);
  channel.input.write(Buffer.concat([peerNonce, maced]));
  await keys;
  assert.deepEqual(heard, ["32 bytes", "client known", "288 bytes"]);
});

test("a client sends its public value as soon as it has the nonce, without waiting for the server's", async () => {
  const { channel } = start("client");
  channel.input.write(peerNonce);
  const nonce = await channel.read(32);
  assert.equal(checkPublicValue(macKeysOf("client", nonce).client, await channel.read(288)), 1n);
});

test("a client with forward secrecy generates a new public value for each handshake", async () => {
  const values = new Set<bigint>();
  for (let count = 0; count < 2; count += 1) {
    const { channel } = start("client", "allow");
    channel.input.write(peerNonce);
    const nonce = await channel.read(32);
    values.add(checkPublicValue(macKeysOf("client", nonce).client, await channel.read(288)));
  }
  assert.equal(values.size, 2);
  assert.ok(!values.has(1n));
});

test("a client whose connection ends meanwhile sends nothing more, and throws the reason", async () => {
  const { channel, keys, giveUp } = start("client", "allow");
  await channel.read(32);
  channel.input.write(peerNonce);
  const ended = new Error("the connection has ended");
  giveUp(ended);
  await assert.rejects(keys, ended);
  await eventLoopTurns();
  assert.equal(channel.waitingBytes, 0);
});

test("a server whose connection ends meanwhile sends nothing more, and throws the reason", async () => {
  const { channel, keys, known, giveUp } = start("server", "allow");
  const maced = macPublicValue(macKeysOf("server", await channel.read(32)).client, 2n);
  channel.input.write(Buffer.concat([peerNonce, maced]));
  const ended = new Error("the connection has ended");
  giveUp(ended);
  await assert.rejects(keys, ended);
  await eventLoopTurns();
  assert.equal(channel.waitingBytes, 0);
  assert.equal(known(), 0, "nobody is dialed for a connection that has ended");
});

for (const [role, handle] of [
  ["client", addon.ClientHandshake],
  ["server", addon.ServerHandshake],
] as const) {
  test(`a ${role} wipes its secrets when the connection ends, although its read never settles`, async (t) => {
    const destroy = t.mock.method(handle.prototype, "destroy");
    const { channel, giveUp } = start(role, "allow");
    channel.input.write(peerNonce);
    await channel.read(32);
    await eventLoopTurns();
    assert.equal(destroy.mock.callCount(), 0);
    giveUp(new Error("the connection has ended"));
    assert.equal(destroy.mock.callCount(), 1);
  });

  test(`a ${role} does not begin if the connection has ended already`, async (t) => {
    const channel = new MemoryChannel(320);
    const signal = AbortSignal.abort(new Error("the connection has ended"));
    const options = { channel, key, forwardSecrecy: "off", signal } as const;
    const keys = role === "client" ? handshakeAsClient(options) : handshakeAsServer(options, () => undefined);
    const destroy = t.mock.method(handle.prototype, "destroy");
    await assert.rejects(keys, /the connection has ended/);
    assert.equal(destroy.mock.callCount(), 0);
    assert.equal(channel.waitingBytes, 0);
  });
}

test("a destroyed key begins no handshake", async () => {
  const gone = sharedKeyOf(keyFile);
  gone.destroy();
  const { signal } = new AbortController();
  const options = { channel: new MemoryChannel(320), key: gone, forwardSecrecy: "off", signal } as const;
  await rejectsSpipedError(handshakeAsClient(options), "SPIPED_STEP", /destroyed/);
  await rejectsSpipedError(
    handshakeAsServer(options, () => assert.fail("nobody is known")),
    "SPIPED_STEP",
    /destroyed/,
  );
});

/** Copies everything that `from` writes to `to`. */
function join(from: MemoryChannel, to: MemoryChannel, pieces: "whole" | "byte by byte"): void {
  const move = async (): Promise<void> => {
    for (let left = 320; left > 0; ) {
      const bytes = await from.read(left > 288 ? 32 : 288);
      left -= bytes.length;
      give(to, bytes, pieces);
    }
  };
  move().catch((error: unknown) => to.input.destroy(error instanceof Error ? error : new Error(String(error))));
}

function give(channel: MemoryChannel, bytes: Uint8Array, pieces: "whole" | "byte by byte"): void {
  if (pieces === "whole") {
    channel.input.write(bytes);
    return;
  }
  const slowly = new Transform({
    transform(chunk: Buffer, _encoding, done) {
      for (const byte of chunk) this.push(Uint8Array.of(byte));
      done();
    },
  });
  slowly.on("data", (byte: Buffer) => channel.input.write(byte));
  slowly.write(bytes);
}
