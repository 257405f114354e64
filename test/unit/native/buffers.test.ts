// Byte arrays passed to the addon: sizes, offsets, overlaps, arrays that are detached, shrunk or shared. All misuse is an
// error, and nothing outside the output is ever written.

import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { addon, type Opener, type Sealer } from "#dist/native/native.js";
import { boundarySizes, sameBytes } from "../support/bytes.js";
import { throwsCode } from "../support/errors.js";
import { sharedKeyOf, someNonces } from "../support/handshakes.js";

const E = new Uint8Array(32).fill(1);
const H = new Uint8Array(32).fill(2);
const newSealer = (): Sealer => addon.Sealer.fromKeys(E, H, 0n);
const newOpener = (): Opener => addon.Opener.fromKeys(E, H, 0n);

const wrongLengths = (right: number): readonly number[] => [0, 1, right - 1, right + 1, 2 * right, 65_536];

test("a nonce that is not 32 bytes long is refused, and the handshake can continue", () => {
  const key = sharedKeyOf(Uint8Array.of(1));
  for (const length of wrongLengths(32)) {
    const wrong = new Uint8Array(length);
    throwsCode(() => new addon.ClientHandshake(key, "off", wrong), "SPIPED_BUFFER");
    throwsCode(() => new addon.ServerHandshake(key, "off", wrong), "SPIPED_BUFFER");
    for (const handshake of [new addon.ClientHandshake(key, "off"), new addon.ServerHandshake(key, "off")]) {
      throwsCode(() => handshake.receiveNonce(wrong), "SPIPED_BUFFER");
      handshake.receiveNonce(someNonces.nonceS);
    }
  }
});

test("a public value that is not 288 bytes long is refused, and the handshake can continue", () => {
  const key = sharedKeyOf(Uint8Array.of(1));
  const client = new addon.ClientHandshake(key, "off", someNonces.nonceC);
  const server = new addon.ServerHandshake(key, "off", someNonces.nonceS);
  client.receiveNonce(someNonces.nonceS);
  server.receiveNonce(someNonces.nonceC);
  const macedC = client.macedPublic(addon.KeyPair.withoutForwardSecrecy());
  for (const length of wrongLengths(288)) throwsCode(() => server.verify(new Uint8Array(length)), "SPIPED_BUFFER");
  server.verify(macedC);
  const macedS = server.macedPublic(addon.KeyPair.withoutForwardSecrecy());
  for (const length of wrongLengths(288)) throwsCode(() => client.verify(new Uint8Array(length)), "SPIPED_BUFFER");
  client.verify(macedS);
});

test("an exponent that is not 32 bytes long is refused", () => {
  for (const length of wrongLengths(32)) {
    throwsCode(() => addon.KeyPair.fromExponent(new Uint8Array(length)), "SPIPED_BUFFER");
  }
});

test("packet keys that are not 32 bytes long are refused", () => {
  for (const length of wrongLengths(32)) {
    const wrong = new Uint8Array(length);
    for (const kind of [addon.Sealer, addon.Opener]) {
      throwsCode(() => kind.fromKeys(wrong, H, 0n), "SPIPED_BUFFER");
      throwsCode(() => kind.fromKeys(E, wrong, 0n), "SPIPED_BUFFER");
    }
  }
});

test("a packet number outside 0 to 2^64 - 1 is refused", () => {
  for (const number of [-1n, 2n ** 64n, 2n ** 128n, -(2n ** 64n)]) {
    for (const kind of [addon.Sealer, addon.Opener]) throwsCode(() => kind.fromKeys(E, H, number), "SPIPED_BUFFER");
  }
});

test("sealing no bytes is refused", () => {
  throwsCode(() => newSealer().seal(new Uint8Array(0), new Uint8Array(1_060)), "SPIPED_BUFFER");
});

test("opening no bytes gives none", () => {
  const opener = newOpener();
  assert.equal(opener.open(new Uint8Array(0), new Uint8Array(0)), 0);
  assert.equal(opener.pendingBytes, 0);
});

for (const size of boundarySizes) {
  test(`sealing ${size} bytes needs the room that sealedLength says, and writes nothing else`, () => {
    const plaintext = patternOf(size);
    const length = addon.sealedLength(size);
    assert.equal(length, Math.ceil(size / 1_024) * 1_060);
    const sealer = newSealer();
    const { room, untouched } = guarded(length - 1);
    throwsCode(() => sealer.seal(plaintext, room), "SPIPED_BUFFER");
    throwsCode(() => sealer.seal(plaintext, new Uint8Array(0)), "SPIPED_BUFFER");
    sameBytes(room, new Uint8Array(length - 1).fill(guard), "the output that was too small");
    assert.ok(untouched());
    const right = guarded(length);
    assert.equal(sealer.seal(plaintext, right.room), length);
    assert.ok(right.untouched());
    sameBytes(right.room, sealed(plaintext), "no packet number is lost by the failures");
  });

  test(`opening the packets of ${size} bytes writes nothing outside the output, and needs room for whole packets`, () => {
    const packets = sealed(patternOf(size));
    const room = 1_024 * (packets.length / 1_060);
    assert.equal(addon.maxOpenedLength(packets.length), room);
    const opener = newOpener();
    const small = guarded(room - 1);
    throwsCode(() => opener.open(packets, small.room), "SPIPED_BUFFER");
    sameBytes(small.room, new Uint8Array(room - 1).fill(guard), "the output that was too small");
    assert.ok(small.untouched());
    const right = guarded(room);
    assert.equal(opener.open(packets, right.room), size);
    assert.ok(right.untouched());
    sameBytes(right.room.subarray(0, size), patternOf(size));
  });
}

test("arrays at odd offsets of one buffer are sealed and opened like any others", () => {
  for (const size of [1, 1_023, 1_024, 1_025]) {
    for (const offset of [1, 3, 7, 13]) {
      const plaintext = patternOf(size);
      const length = addon.sealedLength(size);
      const memory = new Uint8Array(offset + size + length + size + 1_024 + 5);
      const input = memory.subarray(offset, offset + size);
      const packets = memory.subarray(offset + size, offset + size + length);
      input.set(plaintext);
      assert.equal(newSealer().seal(input, packets), length);
      sameBytes(packets, sealed(plaintext));
      const output = memory.subarray(offset + size + length);
      assert.equal(newOpener().open(packets, output), size);
      sameBytes(output.subarray(0, size), plaintext);
    }
  }
});

test("pieces of Node's own buffer pool are sealed and opened like any others", () => {
  const plaintext = Buffer.from("a small buffer shares its memory with others");
  assert.notEqual(plaintext.buffer.byteLength, plaintext.length);
  const packets = Buffer.allocUnsafe(1_060);
  newSealer().seal(plaintext, packets);
  const output = Buffer.allocUnsafe(1_024);
  assert.equal(output.subarray(0, newOpener().open(packets, output)).toString(), plaintext.toString());
});

test("an output is refused if and only if it shares a byte with the input", () => {
  const place = fc.record({ start: fc.nat(3_000), length: fc.integer({ min: 1, max: 1_024 }), out: fc.nat(4_000) });
  fc.assert(
    fc.property(place, ({ start, length, out }) => {
      const memory = patternOf(6_000);
      const before = memory.slice();
      const input = memory.subarray(start, start + length);
      const output = memory.subarray(out, out + 1_060);
      const overlap = start < out + 1_060 && out < start + length;
      if (overlap) {
        throwsCode(() => newSealer().seal(input, output), "SPIPED_BUFFER");
        sameBytes(memory, before, "memory after an overlap");
      } else {
        assert.equal(newSealer().seal(input, output), 1_060);
        sameBytes(output, sealed(before.subarray(start, start + length)));
      }
    }),
  );
});

for (const [what, start, out] of [
  ["the same place", 0, 0],
  ["the output's last byte", 1_059, 0],
  ["the input's last byte", 0, 1_059],
] as const) {
  test(`opening into ${what} of the input is refused, and the packet is not lost`, () => {
    const packet = sealed(patternOf(5));
    const memory = new Uint8Array(3_000);
    memory.set(packet, start);
    const opener = newOpener();
    const [input, output] = [memory.subarray(start, start + 1_060), memory.subarray(out, out + 1_060)];
    throwsCode(() => opener.open(input, output), "SPIPED_BUFFER");
    sameBytes(input, packet);
    assert.equal(opener.pendingBytes, 0);
    assert.equal(opener.open(packet, new Uint8Array(1_024)), 5);
  });
}

test("a detached input or output is refused like an empty one", () => {
  const sealer = newSealer();
  throwsCode(() => sealer.seal(detached(1), new Uint8Array(1_060)), "SPIPED_BUFFER");
  throwsCode(() => sealer.seal(new Uint8Array(1), detached(1_060)), "SPIPED_BUFFER");
  throwsCode(() => sealer.seal(detached(1), detached(1_060)), "SPIPED_BUFFER");
  const opener = newOpener();
  assert.equal(opener.open(detached(1_060), new Uint8Array(1_024)), 0);
  throwsCode(() => opener.open(sealed(new Uint8Array(1)), detached(1_024)), "SPIPED_BUFFER");
  assert.equal(opener.open(sealed(new Uint8Array(1)), new Uint8Array(1_024)), 1);
});

test("detached bytes of the handshake are refused", () => {
  const key = sharedKeyOf(Uint8Array.of(1));
  throwsCode(() => new addon.ClientHandshake(key, "off", detached(32)), "SPIPED_BUFFER");
  const client = new addon.ClientHandshake(key, "off");
  throwsCode(() => client.receiveNonce(detached(32)), "SPIPED_BUFFER");
  throwsCode(() => addon.KeyPair.fromExponent(detached(32)), "SPIPED_BUFFER");
  throwsCode(() => addon.Sealer.fromKeys(detached(32), H, 0n), "SPIPED_BUFFER");
});

test("a piece of a key file that is empty or detached adds nothing to the key", () => {
  const hasher = new addon.KeyHasher();
  hasher.update(detached(9));
  hasher.update(Uint8Array.of(1));
  hasher.update(new Uint8Array(0));
  const client = new addon.ClientHandshake(hasher.finish(), "off", someNonces.nonceC);
  const same = new addon.ClientHandshake(sharedKeyOf(Uint8Array.of(1)), "off", someNonces.nonceC);
  for (const handshake of [client, same]) handshake.receiveNonce(someNonces.nonceS);
  const [one, other] = [client, same].map((it) => it.macedPublic(addon.KeyPair.withoutForwardSecrecy()));
  assert.deepEqual(one, other);
  const empty = new addon.KeyHasher();
  empty.update(detached(9));
  throwsCode(() => empty.finish(), "SPIPED_KEY_FILE");
});

test("an array on a buffer that has shrunk has its current length", () => {
  // The language has these; the library of ES2023 does not know them yet.
  const memory: ArrayBuffer = Reflect.construct(ArrayBuffer, [2_048, { maxByteLength: 2_048 }]);
  const tracking = new Uint8Array(memory);
  const fixed = new Uint8Array(memory, 0, 1_060);
  Reflect.apply(Reflect.get(memory, "resize"), memory, [100]);
  throwsCode(() => newSealer().seal(new Uint8Array(1), tracking), "SPIPED_BUFFER");
  throwsCode(() => newSealer().seal(new Uint8Array(1), fixed), "SPIPED_BUFFER");
  const packets = new Uint8Array(1_060);
  newSealer().seal(tracking, packets);
  assert.equal(newOpener().open(packets, new Uint8Array(1_024)), 100);
});

test("shared memory is sealed like any other, or refused", () => {
  const shared = new Uint8Array(new SharedArrayBuffer(16));
  shared.set(patternOf(16));
  const packets = new Uint8Array(1_060);
  let length: number;
  try {
    length = newSealer().seal(shared, packets);
  } catch (error) {
    assert.ok(error instanceof Error);
    return;
  }
  assert.equal(length, 1_060);
  sameBytes(packets, sealed(patternOf(16)));
});

test("an exponent can be wiped as soon as it has been passed on", async () => {
  const maced = async (wipe: boolean): Promise<Uint8Array> => {
    const x = new Uint8Array(32).fill(7);
    const keyPair = addon.KeyPair.fromExponent(x);
    if (wipe) x.fill(0);
    const client = new addon.ClientHandshake(sharedKeyOf(Uint8Array.of(1)), "allow", someNonces.nonceC);
    client.receiveNonce(someNonces.nonceS);
    return client.macedPublic(await keyPair);
  };
  sameBytes(await maced(true), await maced(false));
});

const guard = 0xa5;

/** Memory for an output with a strip on both sides that must stay as it is. */
function guarded(length: number): { readonly room: Uint8Array; untouched(): boolean } {
  const memory = new Uint8Array(64 + length + 64).fill(guard);
  const isGuard = (byte: number) => byte === guard;
  return {
    room: memory.subarray(64, 64 + length),
    untouched: () => memory.subarray(0, 64).every(isGuard) && memory.subarray(64 + length).every(isGuard),
  };
}

function detached(length: number): Uint8Array {
  const bytes = new Uint8Array(length);
  structuredClone(bytes.buffer, { transfer: [bytes.buffer] });
  assert.equal(bytes.length, 0);
  return bytes;
}

function patternOf(length: number): Uint8Array {
  return Uint8Array.from({ length }, (_, index) => (index * 31 + 7) % 256);
}

function sealed(plaintext: Uint8Array): Uint8Array {
  const packets = new Uint8Array(addon.sealedLength(plaintext.length));
  newSealer().seal(plaintext, packets);
  return packets;
}
