// Searches the memory of another process, from Linux's /proc: all mappings that are writable or belong to no file,
// including heaps and stacks.

import { closeSync, openSync, readFileSync, readSync } from "node:fs";
import { bytesOf, publicValueOf } from "./reference-protocol.js";
import { plainSecret, type Secret } from "./secret-forms.js";

/** A secret of which at least eight consecutive bytes were found. */
export interface Finding {
  readonly secret: string;
  /** Which form, and where, for messages. */
  readonly where: string;
}

interface Needle {
  readonly bytes: Uint8Array;
  readonly secret: string;
  readonly form: string;
}

/** This many consecutive bytes of a secret count as found. Secrets are random, so it is never by chance. */
const NEEDLE_BYTES = 8;

/** An exponent in memory. */
const EXPONENT_BYTES = 40;

const CHUNK_BYTES = 1 << 20;

/** Pieces overlap by this much, so that nothing is split. */
const OVERLAP_BYTES = EXPONENT_BYTES - 1;

/** Most pages of a process are untouched and contain only zeros. */
const UNUSED_PAGE = Buffer.alloc(4096);

/** Why the memory of a process cannot be read here; undefined if it can. */
export function whyUnreadable(id: number): string | undefined {
  if (process.platform !== "linux") return "needs Linux";
  try {
    closeSync(openSync(`/proc/${id}/mem`, "r"));
    return undefined;
  } catch (error) {
    return `may not read the memory of another process, and needs root: ${String(error)}`;
  }
}

/** Searches the memory of a process for secrets in all their forms. */
export function findSecrets(id: number, secrets: readonly Secret[]): readonly Finding[] {
  const search = new Search(secrets);
  readMemory(id, (bytes, address, mapping) => search.in(bytes, address, mapping));
  return search.findings;
}

/** The names of the secrets found, without duplicates, in the order of `secrets`. */
export function namesOf(findings: readonly Finding[], secrets: readonly Secret[]): readonly string[] {
  const found = new Set(findings.map(({ secret }) => secret));
  return secrets.map(({ name }) => name).filter((name) => found.has(name));
}

/**
 * The exponents x of the key pairs in the memory of a process, as this implementation lays them out: 32 random bytes and a
 * word of 2^258, as one number of little-endian words. What looks like one is one if its y is there too.
 */
export function exponentsIn(id: number): readonly bigint[] {
  const candidates = new Map<string, bigint>();
  readMemory(id, (bytes, address) => {
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    for (let at = (8 - (address % 8)) % 8; at + EXPONENT_BYTES <= bytes.length; at += 8) {
      if (view.getUint32(at + 32, true) !== 4 || view.getUint32(at + 36, true) !== 0) continue;
      const words = [0, 8, 16, 24, 32].map((word) => view.getBigUint64(at + word, true));
      if (!lookRandom(words.slice(0, 4))) continue;
      const x = words.reduceRight((number, word) => (number << 64n) | word, 0n);
      candidates.set(x.toString(), x);
    }
  });
  const publicValues = [...candidates].map(([name, x]) => plainSecret(name, bytesOf(publicValueOf(x))));
  return namesOf(findSecrets(id, publicValues), publicValues).map(BigInt);
}

/**
 * Four words that are unlikely to be text, pointers or small numbers. Of random words, one set in millions is mistaken
 * for that.
 */
function lookRandom(words: readonly bigint[]): boolean {
  const texts = words.map((word) => word.toString(16).padStart(16, "0"));
  const isVaried = texts.every((text) => new Set(text.match(/../g)).size >= 5);
  return (
    isVaried && texts.filter((text) => text.startsWith("0000")).length < 2 && /^(..)*[89a-f]./.test(texts.join(""))
  );
}

/** Passes all memory that the process may have written, except zeros, in overlapping pieces. */
function readMemory(id: number, take: (bytes: Uint8Array, address: number, mapping: string) => void): void {
  const memory = openSync(`/proc/${id}/mem`, "r");
  const piece = Buffer.alloc(CHUNK_BYTES + OVERLAP_BYTES);
  try {
    for (const line of readFileSync(`/proc/${id}/maps`, "utf8").split("\n")) {
      const [, from, to, access, mapping] = /^([0-9a-f]+)-([0-9a-f]+) (\S+) \S+ \S+ \d+ *(.*)$/.exec(line) ?? [];
      if (from === undefined || to === undefined || access === undefined) continue;
      if (!access.startsWith("r") || (access[1] !== "w" && mapping?.startsWith("/"))) continue;
      const end = Number.parseInt(to, 16);
      for (let address = Number.parseInt(from, 16); address < end; address += CHUNK_BYTES) {
        const length = readThere(memory, piece, address, Math.min(piece.length, end - address));
        for (const [first, last] of used(piece.subarray(0, length))) {
          take(piece.subarray(first, last), address + first, mapping || "anonymous");
        }
      }
    }
  } finally {
    closeSync(memory);
  }
}

/** The ranges of pages that are not all zeros, extended by the length that a secret may reach beyond them. */
function* used(bytes: Uint8Array): Generator<readonly [first: number, last: number]> {
  const isUnused = (at: number) => {
    const page = bytes.subarray(at, at + UNUSED_PAGE.length);
    return Buffer.compare(page, UNUSED_PAGE.subarray(0, page.length)) === 0;
  };
  for (let at = 0; at < bytes.length; at += UNUSED_PAGE.length) {
    if (isUnused(at)) continue;
    const first = at;
    while (at < bytes.length && !isUnused(at)) at += UNUSED_PAGE.length;
    yield [Math.max(0, first - OVERLAP_BYTES - 1), Math.min(bytes.length, at + OVERLAP_BYTES)];
  }
}

/** 0 if the mapping is gone meanwhile, or unreadable. */
function readThere(memory: number, piece: Uint8Array, address: number, length: number): number {
  try {
    return readSync(memory, piece, 0, length, address);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "EIO") return 0;
    throw error;
  }
}

class Search {
  readonly findings: Finding[] = [];
  /** A bit for each three-byte prefix of a needle, to skip almost every position at once. */
  readonly #beginnings = new Uint8Array(1 << 21);
  readonly #needles = new Map<string, Needle>();

  constructor(secrets: readonly Secret[]) {
    for (const { name, forms } of secrets) {
      for (const [form, bytes] of Object.entries(forms)) {
        for (let at = 0; at + NEEDLE_BYTES <= bytes.length; at += NEEDLE_BYTES) {
          const needle = bytes.slice(at, at + NEEDLE_BYTES);
          const beginning = beginningAt(needle, 0);
          this.#beginnings[beginning >> 3] = (this.#beginnings[beginning >> 3] ?? 0) | (1 << (beginning & 7));
          this.#needles.set(keyOf(needle), { bytes: needle, secret: name, form: `${form}, from byte ${at} on` });
        }
      }
    }
  }

  in(bytes: Uint8Array, address: number, mapping: string): void {
    const beginnings = this.#beginnings;
    for (let at = 0; at + NEEDLE_BYTES <= bytes.length; at += 1) {
      const beginning = beginningAt(bytes, at);
      if (((beginnings[beginning >> 3] as number) & (1 << (beginning & 7))) === 0) continue;
      const needle = this.#needles.get(keyOf(bytes.subarray(at, at + NEEDLE_BYTES)));
      if (needle === undefined) continue;
      const where = `${needle.form}, at 0x${(address + at).toString(16)} (${mapping})`;
      this.findings.push({ secret: needle.secret, where });
    }
  }
}

function beginningAt(bytes: Uint8Array, at: number): number {
  return (bytes[at] as number) | ((bytes[at + 1] as number) << 8) | ((bytes[at + 2] as number) << 16);
}

function keyOf(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString("latin1");
}
