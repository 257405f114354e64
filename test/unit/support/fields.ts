// Reads the fields of a test vector strictly: a missing, unknown or malformed field fails, so that no field stays
// unchecked.

/** The fields of one object; each is read once. */
export class Fields {
  readonly #where: string;
  readonly #left: Map<string, unknown>;

  constructor(where: string, value: unknown) {
    if (typeof value !== "object" || value === null) throw new Error(`${where}: no object`);
    this.#where = where;
    this.#left = new Map(Object.entries(value));
  }

  has(name: string): boolean {
    return this.#left.has(name);
  }

  text(name: string): string {
    const value = this.#take(name);
    if (typeof value !== "string") throw new Error(`${this.#where}: ${name} is no text`);
    return value;
  }

  oneOf<Word extends string>(name: string, words: readonly Word[]): Word {
    const text = this.text(name);
    const word = words.find((one) => one === text);
    if (word === undefined) throw new Error(`${this.#where}: ${name} is unknown: ${text}`);
    return word;
  }

  bytes(name: string, length?: number): Uint8Array {
    return bytesOfHex(this.#take(name), `${this.#where}: ${name}`, length);
  }

  list(name: string): readonly unknown[] {
    const value = this.#take(name);
    if (!Array.isArray(value)) throw new Error(`${this.#where}: ${name} is no list`);
    return value;
  }

  child(name: string): Fields {
    return new Fields(`${this.#where}: ${name}`, this.#take(name));
  }

  /** Asserts that all fields have been read. */
  done(): void {
    if (this.#left.size > 0) throw new Error(`${this.#where}: unknown fields: ${[...this.#left.keys()].join(", ")}`);
  }

  #take(name: string): unknown {
    if (!this.#left.has(name)) throw new Error(`${this.#where}: ${name} is missing`);
    const value = this.#left.get(name);
    this.#left.delete(name);
    return value;
  }
}

/** The bytes of a lower-case hex string. */
export function bytesOfHex(value: unknown, where: string, length?: number): Uint8Array {
  if (typeof value !== "string" || !/^([0-9a-f]{2})*$/.test(value)) throw new Error(`${where} is no hex`);
  const bytes = Uint8Array.from(Buffer.from(value, "hex"));
  if (length !== undefined && bytes.length !== length) throw new Error(`${where} has ${bytes.length} bytes`);
  return bytes;
}
