// The forms that secrets take in memory: raw bytes, words in either byte order, HMAC states of a key, and AES round
// keys. Sources: FIPS 180-4, FIPS 197, RFC 2104.

import { bytesOf, p } from "./reference-protocol.js";

/** A secret and its forms, by name. */
export interface Secret {
  readonly name: string;
  readonly forms: Readonly<Record<string, Uint8Array>>;
}

/** A secret that is only used as it is. */
export function plainSecret(name: string, bytes: Uint8Array): Secret {
  return { name, forms: inAllOrders("as it is", bytes) };
}

/** A key of HMAC-SHA256, 32 bytes long. */
export function hmacKey(name: string, key: Uint8Array): Secret {
  const forms: Record<string, Uint8Array> = inAllOrders("as it is", key);
  for (const [pad, byte] of [
    ["inner", 0x36],
    ["outer", 0x5c],
  ] as const) {
    const block = new Uint8Array(64).fill(byte);
    for (const [index, keyByte] of key.entries()) block[index] = byte ^ keyByte;
    Object.assign(forms, inAllOrders(`under the ${pad} pad`, block.subarray(0, key.length)));
    Object.assign(forms, inAllOrders(`as the ${pad} state`, stateAfter(block)));
  }
  return { name, forms };
}

/** A key of AES-256. */
export function aesKey(name: string, key: Uint8Array): Secret {
  return { name, forms: inAllOrders("as round keys", roundKeysOf(key)) };
}

/** A secret exponent. */
export function exponent(name: string, x: bigint): Secret {
  return { name, forms: inAllOrders("as it is", bytesOf(x).subarray(-32)) };
}

/** A number modulo p: as it is, and as Montgomery arithmetic has it. */
export function residue(name: string, value: bigint): Secret {
  return {
    name,
    forms: {
      ...inAllOrders("as it is", bytesOf(value)),
      ...inAllOrders("in Montgomery form", bytesOf((value << 2_048n) % p)),
    },
  };
}

/** The bytes as they are, and as words of 4 and 8 bytes and one whole number in the other byte order. */
function inAllOrders(form: string, bytes: Uint8Array): Record<string, Uint8Array> {
  return {
    [form]: bytes,
    [`${form}, reversed`]: Uint8Array.from(bytes).reverse(),
    [`${form}, in words of 4 bytes`]: swapped(bytes, 4),
    [`${form}, in words of 8 bytes`]: swapped(bytes, 8),
    // As the SHA instructions of x86-64 take them.
    [`${form}, with its words of 4 bytes in pairs the other way round`]: swapped(swapped(bytes, 4), 8),
  };
}

function swapped(bytes: Uint8Array, wordBytes: number): Uint8Array {
  const result = Uint8Array.from(bytes);
  for (let at = 0; at + wordBytes <= result.length; at += wordBytes) result.subarray(at, at + wordBytes).reverse();
  return result;
}

/** Fractional bits of primes' roots, from which the standard makes SHA-256's constants. */
function fractionOfRoot(prime: number, root: 2 | 3): number {
  // Integer bisection.
  const scaled = BigInt(prime) << BigInt(32 * root);
  let low = 0n;
  let high = 1n << 40n;
  while (high - low > 1n) {
    const middle = (low + high) >> 1n;
    if (middle ** BigInt(root) <= scaled) low = middle;
    else high = middle;
  }
  return Number(low & 0xffff_ffffn);
}

function firstPrimes(count: number): readonly number[] {
  const primes: number[] = [];
  for (let candidate = 2; primes.length < count; candidate += 1) {
    if (primes.every((prime) => candidate % prime !== 0)) primes.push(candidate);
  }
  return primes;
}

const ROUND_CONSTANTS = firstPrimes(64).map((prime) => fractionOfRoot(prime, 3));
const INITIAL_STATE = firstPrimes(8).map((prime) => fractionOfRoot(prime, 2));

/** SHA-256's state after one block, its words big-endian. */
export function stateAfter(block: Uint8Array, before: readonly number[] = INITIAL_STATE): Uint8Array {
  const view = new DataView(block.buffer, block.byteOffset, block.byteLength);
  const schedule = Array.from({ length: 16 }, (_, index) => view.getUint32(4 * index));
  const word = (index: number): number => schedule[index] ?? 0;
  for (let t = 16; t < 64; t += 1) {
    const sigma0 = rotated(word(t - 15), 7) ^ rotated(word(t - 15), 18) ^ (word(t - 15) >>> 3);
    const sigma1 = rotated(word(t - 2), 17) ^ rotated(word(t - 2), 19) ^ (word(t - 2) >>> 10);
    schedule.push((sigma1 + word(t - 7) + sigma0 + word(t - 16)) >>> 0);
  }
  let [a = 0, b = 0, c = 0, d = 0, e = 0, f = 0, g = 0, h = 0] = before;
  for (const [t, constant] of ROUND_CONSTANTS.entries()) {
    const sum1 = rotated(e, 6) ^ rotated(e, 11) ^ rotated(e, 25);
    const t1 = (h + sum1 + ((e & f) ^ (~e & g)) + constant + word(t)) | 0;
    const sum0 = rotated(a, 2) ^ rotated(a, 13) ^ rotated(a, 22);
    const t2 = (sum0 + ((a & b) ^ (a & c) ^ (b & c))) | 0;
    [a, b, c, d, e, f, g, h] = [(t1 + t2) | 0, a, b, c, (d + t1) | 0, e, f, g];
  }
  const state = Buffer.alloc(32);
  for (const [index, value] of [a, b, c, d, e, f, g, h].entries()) {
    state.writeUInt32BE(((before[index] ?? 0) + value) >>> 0, 4 * index);
  }
  return state;
}

function rotated(word: number, bits: number): number {
  return (word >>> bits) | (word << (32 - bits));
}

/** The 15 round keys of AES-256. */
export function roundKeysOf(key: Uint8Array): Uint8Array {
  const words = Array.from({ length: 8 }, (_, index) => Array.from(key.subarray(4 * index, 4 * index + 4)));
  let roundConstant = 1;
  for (let index = 8; index < 60; index += 1) {
    let word = words[index - 1] ?? [];
    if (index % 8 === 0) {
      word = [...word.slice(1), ...word.slice(0, 1)].map(substituted);
      word[0] = (word[0] ?? 0) ^ roundConstant;
      roundConstant = doubled(roundConstant);
    } else if (index % 8 === 4) {
      word = word.map(substituted);
    }
    words.push(word.map((byte, at) => byte ^ (words[index - 8]?.[at] ?? 0)));
  }
  return Uint8Array.from(words.flat());
}

/** AES's S-box: the inverse in its field, and then an affine map. */
function substituted(byte: number): number {
  let inverse = 0;
  for (let candidate = 1; candidate < 256; candidate += 1) if (product(byte, candidate) === 1) inverse = candidate;
  let result = 0x63;
  for (let turn = 0; turn < 5; turn += 1) result ^= ((inverse << turn) | (inverse >> (8 - turn))) & 0xff;
  return result;
}

function product(left: number, right: number): number {
  let result = 0;
  for (let [a, b] = [left, right]; b > 0; b >>= 1) {
    if (b & 1) result ^= a;
    a = doubled(a);
  }
  return result;
}

function doubled(byte: number): number {
  return ((byte << 1) ^ (byte & 0x80 ? 0x11b : 0)) & 0xff;
}
