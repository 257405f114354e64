/**
 * Internal environment variables, by which the first process of a daemon hands values to the second. Anybody can set them,
 * so a value is taken only in the form in which the first process writes it.
 */

import { SpipedError } from "../errors.js";

/** How much of a wrong value is shown. */
const MOST_SHOWN = 60;

/**
 * Reads the value of such a variable.
 *
 * @throws SpipedError `SPIPED_USAGE` if it does not have the expected form.
 */
export function internalValue<T>(variable: string, text: string, isOne: (value: unknown) => value is T): T {
  const value = parsed(text);
  if (isOne(value)) return value;
  const shown = JSON.stringify(text.length > MOST_SHOWN ? `${text.slice(0, MOST_SHOWN)}…` : text);
  throw new SpipedError("SPIPED_USAGE", `bad value of ${variable}: ${shown}`, {
    hint: "unset it; it is internal to spiped",
  });
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

/** Whether a value is an object with named members. */
export function isRecord(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** Whether a value is a string or undefined. */
export function isTextOrNothing(value: unknown): value is string | undefined {
  return value === undefined || typeof value === "string";
}
