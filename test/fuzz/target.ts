// The fuzz targets: one for each parser of untrusted bytes. A target accepts any bytes and throws if something is not
// as promised. `scripts/fuzz-ts.mjs` searches for such inputs; test/unit/fuzz replays the corpus.

import assert from "node:assert/strict";
import { type ErrorCode, SpipedError } from "#dist/errors.js";
import { printable, textLines } from "#dist/observe/format.js";
import { textOfBytes } from "#dist/paths.js";

/** One target. */
export interface Target {
  /** Also the name of its corpus, test/fuzz/corpus/NAME.json. */
  readonly name: string;
  /** Strings that make inputs interesting; mutations insert them. */
  readonly words: readonly string[];
  /** Also tries inputs of this many bytes, to find quadratic time; undefined skips that. */
  readonly mostBytes?: number;
  /** Set if it takes too long for unit tests: only the script runs it. */
  readonly isLong?: true;
  /** Runs the code on one input. */
  run(input: Uint8Array): void | Promise<void>;
  /** Releases what the first input set up. */
  close?(): void | Promise<void>;
}

/** A string that stands for exactly these bytes, the form of arguments and environment variables. */
export function textOf(input: Uint8Array): string {
  return textOfBytes(input);
}

/** Makes choices from bytes: the same bytes, the same choices. After the last byte, always the first choice. */
export class Choices {
  readonly #bytes: Uint8Array;
  #at = 0;

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes;
  }

  get isEmpty(): boolean {
    return this.#at >= this.#bytes.length;
  }

  byte(): number {
    const byte = this.#bytes[this.#at] ?? 0;
    this.#at += 1;
    return byte;
  }

  /** 0 to `count` - 1. */
  below(count: number): number {
    return ((this.byte() << 8) | this.byte()) % count;
  }

  bool(): boolean {
    return this.byte() % 2 === 1;
  }

  of<T>(all: readonly T[]): T {
    const one = all[this.byte() % all.length];
    assert.ok(one !== undefined || all.includes(one as T));
    return one as T;
  }

  /** Bytes up to the next 0xff, or to the end. */
  bytes(most = Number.POSITIVE_INFINITY): Uint8Array {
    const end = this.#bytes.indexOf(0xff, this.#at);
    const bytes = this.#bytes.subarray(this.#at, Math.min(end === -1 ? Infinity : end, this.#at + most));
    this.#at += bytes.length + (end === this.#at + bytes.length ? 1 : 0);
    return bytes;
  }

  text(most?: number): string {
    return textOfBytes(this.bytes(most));
  }

  /** All that is left. */
  rest(): Uint8Array {
    const rest = this.#bytes.subarray(this.#at);
    this.#at = this.#bytes.length;
    return rest;
  }
}

/** The result of a step, or the SpipedError it threw. Anything else it throws is a finding. */
export function outcomeOf<T>(step: () => T): { readonly value: T } | { readonly error: SpipedError } {
  try {
    return { value: step() };
  } catch (error) {
    return { error: spipedError(error) };
  }
}

/** Checks that an error is a SpipedError with a clear message. */
export function spipedError(error: unknown, ...codes: readonly ErrorCode[]): SpipedError {
  if (!(error instanceof SpipedError))
    throw new Error("something else than a SpipedError was thrown", { cause: error });
  if (codes.length > 0) assert.ok(codes.includes(error.code), `${error.code} for ${error.message}`);
  assert.ok(!["SPIPED_INTERNAL", "SPIPED_BUFFER", "SPIPED_STEP"].includes(error.code), error.message);
  // As printed: a path may have line breaks.
  const lines = textLines({ event: "error", level: "error", code: error.code, message: error.message });
  assert.equal(lines.length, 1, `more than one line: ${JSON.stringify(error.message)}`);
  isClearLine(lines[0] ?? "");
  if (error.hint !== undefined) isClearLine(error.hint);
  return error;
}

/** Checks that a message follows STYLE.md: one line, begins in lower case or with a name, no full stop at its end. */
export function isClearLine(text: string): void {
  assert.ok(text.length > 0, "it says nothing");
  assert.ok(!text.includes("\n"), `more than one line: ${JSON.stringify(text)}`);
  assert.ok(!text.endsWith("."), `a full stop: ${text}`);
  assert.ok(
    [...printable(text)].every((one) => one >= " " && !(one >= "\u007f" && one <= "\u009f")),
    text,
  );
}

/** Throws if a built-in prototype was changed. */
export function isUnpolluted(): void {
  for (const prototype of [Object.prototype, Array.prototype, Function.prototype, String.prototype]) {
    const added = Object.getOwnPropertyNames(prototype).filter((name) => !known.get(prototype)?.includes(name));
    assert.deepEqual(added, []);
  }
}

const known = new Map<object, readonly string[]>(
  [Object.prototype, Array.prototype, Function.prototype, String.prototype].map((one) => [
    one,
    Object.getOwnPropertyNames(one),
  ]),
);
