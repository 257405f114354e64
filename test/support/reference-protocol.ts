// An independent implementation of the wire protocol, as simple as possible, with node:crypto and BigInt. It is slow
// and not constant-time: for tests only. Names are those of docs/protocol.md.

import { createCipheriv, createHash, createHmac, getDiffieHellman, pbkdf2Sync, timingSafeEqual } from "node:crypto";

export const nonceBytes = 32;
export const publicValueBytes = 256;
export const macBytes = 32;
export const macedPublicValueBytes = publicValueBytes + macBytes;
export const handshakeBytes = nonceBytes + macedPublicValueBytes;
export const packetDataBytes = 1024;
export const packetBytes = packetDataBytes + 4 + macBytes;

/** The prime of group 14 of RFC 3526. */
export const p = numberOf(getDiffieHellman("modp14").getPrime());
const g = 2n;

/** Which of the two handshake MAC keys, or packet keys. */
export type Role = "client" | "server";

export interface PacketKeys {
  /** AES-256 key. */
  readonly E: Uint8Array;
  /** MAC key. */
  readonly H: Uint8Array;
}

/** K. */
export function secretOf(keyFile: Uint8Array): Uint8Array {
  return createHash("sha256").update(keyFile).digest();
}

/** The public identifier of a key. */
export function keyIdOf(secret: Uint8Array): Uint8Array {
  return createHmac("sha256", secret).update("spiped key id").digest().subarray(0, 8);
}

/** dhmac_C and dhmac_S. */
export function dhMacKeysOf(secret: Uint8Array, nonceC: Uint8Array, nonceS: Uint8Array): Record<Role, Uint8Array> {
  const dk1 = pbkdf2Sync(secret, Buffer.concat([nonceC, nonceS]), 1, 64, "sha256");
  return { client: dk1.subarray(0, 32), server: dk1.subarray(32) };
}

/** y, for x = 0 the value without forward secrecy. */
export function publicValueOf(x: bigint): bigint {
  return power(g, x);
}

/** y_SC. */
export function sharedValueOf(peerY: bigint, x: bigint): bigint {
  return power(peerY, x);
}

/** y ‖ h as it goes over the wire. */
export function macPublicValue(dhMacKey: Uint8Array, y: bigint): Uint8Array {
  const yBytes = bytesOf(y);
  return Buffer.concat([yBytes, createHmac("sha256", dhMacKey).update(yBytes).digest()]);
}

/** @throws Error when the MAC is wrong or y is out of range. */
export function checkPublicValue(dhMacKey: Uint8Array, macedPublicValue: Uint8Array): bigint {
  const yBytes = macedPublicValue.subarray(0, publicValueBytes);
  const h = createHmac("sha256", dhMacKey).update(yBytes).digest();
  if (!timingSafeEqual(h, macedPublicValue.subarray(publicValueBytes))) throw new Error("bad mac");
  const y = numberOf(yBytes);
  if (y >= p) throw new Error("dh out of range");
  return y;
}

/** The keys for client → server, and for server → client, each named after the side that seals with them. */
export function packetKeysOf(
  secret: Uint8Array,
  nonceC: Uint8Array,
  nonceS: Uint8Array,
  ySC: bigint,
): Record<Role, PacketKeys> {
  const dk2 = pbkdf2Sync(secret, Buffer.concat([nonceC, nonceS, bytesOf(ySC)]), 1, 128, "sha256");
  return {
    client: { E: dk2.subarray(0, 32), H: dk2.subarray(32, 64) },
    server: { E: dk2.subarray(64, 96), H: dk2.subarray(96) },
  };
}

/**
 * One packet.
 *
 * @param data - At most 1,024 bytes.
 * @param statedLength - What the length field says; for a right packet, the length of `data`.
 */
export function sealPacket(
  keys: PacketKeys,
  packetNumber: bigint,
  data: Uint8Array,
  statedLength: number = data.length,
): Uint8Array {
  const plain = Buffer.alloc(packetDataBytes + 4);
  plain.set(data);
  plain.writeUInt32BE(statedLength, packetDataBytes);
  const encrypted = applyKeyStream(keys.E, packetNumber, plain);
  return Buffer.concat([encrypted, packetMac(keys.H, packetNumber, encrypted)]);
}

/** @throws Error when the MAC or the length is wrong. */
export function openPacket(keys: PacketKeys, packetNumber: bigint, packet: Uint8Array): Uint8Array {
  const encrypted = packet.subarray(0, packetBytes - macBytes);
  const mac = packetMac(keys.H, packetNumber, encrypted);
  if (!timingSafeEqual(mac, packet.subarray(packetBytes - macBytes))) throw new Error("bad mac");
  const plain = applyKeyStream(keys.E, packetNumber, encrypted);
  const lengthBytes = plain.readUInt32BE(packetDataBytes);
  if (lengthBytes < 1 || lengthBytes > packetDataBytes) throw new Error("bad length");
  return plain.subarray(0, lengthBytes);
}

function packetMac(H: Uint8Array, packetNumber: bigint, encrypted: Uint8Array): Buffer {
  return createHmac("sha256", H).update(encrypted).update(be64(packetNumber)).digest();
}

function applyKeyStream(E: Uint8Array, packetNumber: bigint, bytes: Uint8Array): Buffer {
  const firstCounterBlock = Buffer.concat([be64(packetNumber), be64(0n)]);
  return createCipheriv("aes-256-ctr", E, firstCounterBlock).update(bytes);
}

function be64(value: bigint): Buffer {
  const bytes = Buffer.alloc(8);
  bytes.writeBigUInt64BE(value);
  return bytes;
}

function power(base: bigint, exponent: bigint): bigint {
  let result = 1n;
  let square = base;
  for (let left = exponent; left > 0n; left >>= 1n) {
    if (left & 1n) result = (result * square) % p;
    square = (square * square) % p;
  }
  return result;
}

/** The number that big-endian bytes stand for. */
export function numberOf(bytes: Uint8Array): bigint {
  return BigInt(`0x${Buffer.from(bytes).toString("hex")}`);
}

/** y as it goes over the wire. */
export function bytesOf(y: bigint): Buffer {
  return Buffer.from(y.toString(16).padStart(2 * publicValueBytes, "0"), "hex");
}
