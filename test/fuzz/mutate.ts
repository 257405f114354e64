// Changes inputs in a few places, in ways that parsers get wrong. The same seed gives the same changes.

/** Repeatable random numbers, xorshift32. */
export class Random {
  #state: number;

  constructor(seed: number) {
    this.#state = seed | 1;
  }

  below(count: number): number {
    this.#state ^= this.#state << 13;
    this.#state ^= this.#state >>> 17;
    this.#state ^= this.#state << 5;
    return (this.#state >>> 0) % Math.max(1, count);
  }

  of<T>(all: readonly T[]): T | undefined {
    return all[this.below(all.length)];
  }
}

/** Longer inputs find nothing more, and take longer. */
const MOST_BYTES = 8_192;

/**
 * Mutates an input.
 *
 * @param words - Strings that matter to the target.
 * @param others - Inputs to take parts of.
 */
export function mutated(
  input: Uint8Array,
  words: readonly string[],
  others: readonly Uint8Array[],
  random: Random,
): Uint8Array {
  let bytes = Buffer.from(input);
  for (let changes = 1 + random.below(4); changes > 0; changes -= 1) {
    const at = random.below(bytes.length + 1);
    const end = Math.min(bytes.length, at + 1 + random.below(random.below(8) === 0 ? bytes.length : 8));
    const [before, there, after] = [bytes.subarray(0, at), bytes.subarray(at, end), bytes.subarray(end)];
    bytes = Buffer.concat(parts(random, { before, there, after, all: bytes, words, others })).subarray(0, MOST_BYTES);
  }
  return bytes;
}

interface Place {
  readonly before: Buffer;
  readonly there: Buffer;
  readonly after: Buffer;
  readonly all: Buffer;
  readonly words: readonly string[];
  readonly others: readonly Uint8Array[];
}

function parts(random: Random, { before, there, after, all, words, others }: Place): readonly Uint8Array[] {
  const word = Buffer.from(random.of(words) ?? "", "utf8");
  switch (random.below(9)) {
    case 0:
      return [before, after];
    case 1:
      return [before, Buffer.of(random.below(256)), there, after];
    case 2:
      return [before, Buffer.of((there[0] ?? 0) ^ (1 << random.below(8))), there.subarray(1), after];
    case 3:
      return [before, there, there, after];
    case 4:
    case 5:
      return [before, word, there, after];
    case 6:
      return [before, word, after];
    case 7: {
      const other = random.of(others) ?? all;
      const from = random.below(other.length);
      return [before, other.subarray(from, from + 1 + random.below(64)), after];
    }
    default:
      return [before, Buffer.of(random.of([0, 1, 0x7f, 0x80, 0xc3, 0xe2, 0xff]) ?? 0), there.subarray(1), after];
  }
}
