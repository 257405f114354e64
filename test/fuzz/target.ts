// What is fuzzed: one target for each thing that takes foreign bytes. A target is given any bytes and throws where
// something is not as promised. `scripts/fuzz-ts.mjs` looks for such bytes; test/unit/fuzz replays the corpus.

import assert from "node:assert/strict";
import { type ErrorCode, SpipedError } from "#dist/errors.js";
import { printable, textLines } from "#dist/observe/format.js";
import { textOfBytes } from "#dist/paths.js";

/** One target. */
export interface Target {
  /** Also the name of its corpus, test/fuzz/corpus/NAME.json. */
  readonly name: string;
  /** What makes inputs interesting: mutations put these in. */
  readonly words: readonly string[];
  /** Inputs of so many bytes are tried too, since time must not grow with the square of it; none where it is left out. */
  readonly mostBytes?: number;
  /** Whether it takes longer than unit tests may: then only the script runs it. */
  readonly isLong?: true;
  /** What a process can do with one input. */
  run(input: Uint8Array): void | Promise<void>;
  /** Undoes what the first input has begun. */
  close?(): void | Promise<void>;
}

/** Bytes as a text that stands for just these bytes, as words and variables come in. */
export function textOf(input: Uint8Array): string {
  return textOfBytes(input);
}

/** Makes choices of bytes: the same bytes, the same choices; behind the last byte, the first choice. */
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

  /** Bytes up to the next 0xff, or as many as there are. */
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

/** What a step comes to: its result, or the error of ours that it threw. Nothing else may be thrown. */
export function outcomeOf<T>(step: () => T): { readonly value: T } | { readonly error: SpipedError } {
  try {
    return { value: step() };
  } catch (error) {
    return { error: spipedError(error) };
  }
}

/** An error of ours, which is clear. */
export function spipedError(error: unknown, ...codes: readonly ErrorCode[]): SpipedError {
  if (!(error instanceof SpipedError))
    throw new Error("something else than a SpipedError was thrown", { cause: error });
  if (codes.length > 0) assert.ok(codes.includes(error.code), `${error.code} for ${error.message}`);
  assert.ok(!["SPIPED_INTERNAL", "SPIPED_BUFFER", "SPIPED_STEP"].includes(error.code), error.message);
  // As it is said: a path may have line breaks.
  const lines = textLines({ event: "error", level: "error", code: error.code, message: error.message });
  assert.equal(lines.length, 1, `more than one line: ${JSON.stringify(error.message)}`);
  isClearLine(lines[0] ?? "");
  if (error.hint !== undefined) isClearLine(error.hint);
  return error;
}

/** A message as STYLE.md has it: one line, begins in lower case or with a name, no full stop at its end. */
export function isClearLine(text: string): void {
  assert.ok(text.length > 0, "it says nothing");
  assert.ok(!text.includes("\n"), `more than one line: ${JSON.stringify(text)}`);
  assert.ok(!text.endsWith("."), `a full stop: ${text}`);
  assert.ok(
    [...printable(text)].every((one) => one >= " " && !(one >= "\u007f" && one <= "\u009f")),
    text,
  );
}

/** Throws where something has got into the objects that all others come from. */
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
