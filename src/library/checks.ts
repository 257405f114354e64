/**
 * Validation of single options and arguments. The error names the option, its value, and what is allowed.
 *
 * TypeScript programs get the same from the types; this is the only check that JavaScript programs have.
 */

import { types } from "node:util";
import { LONGEST_MS } from "../clock.js";
import { SpipedError } from "../errors.js";

/**
 * Reads one option or argument.
 *
 * @throws SpipedError `SPIPED_OPTION`.
 */
export type Reader<T> = (name: string, value: unknown) => T;

/** A string option or argument. */
export function text(name: string, value: unknown): string {
  if (typeof value !== "string") throw invalidOption(name, "a string", value);
  return value;
}

/** The bytes of a key. */
export function bytes(name: string, value: unknown): Uint8Array {
  // A view of shared memory could change while it is read.
  if (types.isUint8Array(value) && !types.isSharedArrayBuffer(value.buffer)) return value;
  throw refused(name, "a Uint8Array", kindOf(value));
}

/** A time limit. */
export function milliseconds(name: string, value: unknown): number {
  if (typeof value === "number" && value >= 1 && value <= LONGEST_MS) return value;
  throw invalidOption(name, `a number of milliseconds from 1 to ${LONGEST_MS}`, value);
}

/** Milliseconds between repetitions; `Infinity` for never repeating. */
export function interval(name: string, value: unknown): number {
  if (typeof value === "number" && value >= 1 && (value <= LONGEST_MS || value === Number.POSITIVE_INFINITY))
    return value;
  throw invalidOption(name, `a number of milliseconds from 1 to ${LONGEST_MS}, or Infinity`, value);
}

export function count(name: string, value: unknown): number {
  if (typeof value === "number" && value >= 1 && (Number.isSafeInteger(value) || value === Number.POSITIVE_INFINITY)) {
    return value;
  }
  throw invalidOption(name, "a whole number from 1, or Infinity", value);
}

export function permissions(name: string, value: unknown): number {
  if (typeof value === "number" && Number.isInteger(value) && value >= 0 && value <= 0o777) return value;
  throw invalidOption(name, "permissions from 0 to 0o777, in octal as 0o660", value);
}

export function flag(name: string, value: unknown): boolean {
  if (typeof value !== "boolean") throw invalidOption(name, "true or false", value);
  return value;
}

/** Accepts anything with the members used here: polyfills have AbortSignal classes of their own. */
export function signal(name: string, value: unknown): AbortSignal {
  const isOne =
    typeof value === "object" &&
    value !== null &&
    typeof Reflect.get(value, "aborted") === "boolean" &&
    typeof Reflect.get(value, "addEventListener") === "function" &&
    typeof Reflect.get(value, "removeEventListener") === "function";
  if (!isOne) throw invalidOption(name, "an AbortSignal", value);
  return value as AbortSignal;
}

export function oneOf<const Word extends string>(...words: readonly Word[]): Reader<Word> {
  const all = words.map((word) => `"${word}"`).join(" or ");
  return (name, value) => {
    const found = words.find((word) => word === value);
    if (found === undefined) throw invalidOption(name, all, value);
    return found;
  };
}

export function optional<T, Fallback extends T | undefined>(
  reader: Reader<T>,
  fallback: Fallback,
): Reader<T | Fallback> {
  return (name, value) => (value === undefined ? fallback : reader(name, value));
}

/** The error for an argument or option with an invalid value. */
export function invalidOption(name: string, allowed: string, value: unknown): SpipedError {
  return refused(name, allowed, shown(value));
}

/** The error for a class that was constructed directly instead of by its factory function. */
export function notConstructible(name: string, makers: string): SpipedError {
  return new SpipedError("SPIPED_OPTION", `${name} has no public constructor; ${makers} makes one`);
}

/** Like {@link invalidOption}, for values that must not be shown. */
export function refused(name: string, allowed: string, given: string): SpipedError {
  return new SpipedError("SPIPED_OPTION", `${name} must be ${allowed}, not ${given}`);
}

function shown(value: unknown): string {
  if (typeof value === "string") return JSON.stringify(value.length > 60 ? `${value.slice(0, 60)}…` : value);
  if (typeof value === "number" || typeof value === "boolean") return String(value);
  return kindOf(value);
}

/** Describes the type of a value without revealing the value. */
export function kindOf(value: unknown): string {
  if (value === undefined || value === null) return String(value);
  if (typeof value !== "object") return `a ${typeof value}`;
  const kind = tagOf(value);
  return /^[AEIO]/.test(kind) ? `an ${kind}` : `a ${kind}`;
}

/** The value's `Symbol.toStringTag` if it is a single word. The getter may return anything, or throw. */
function tagOf(value: object): string {
  try {
    const [, tag] = /^\[object ([A-Za-z0-9_ ]{1,60})\]$/.exec(Object.prototype.toString.call(value)) ?? [];
    return tag ?? "Object";
  } catch {
    return "Object";
  }
}
