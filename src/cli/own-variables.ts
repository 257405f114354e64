/**
 * What the first process of a daemon hands to the second by variables of ours. They look like any other, so somebody else
 * may have set them: nothing is believed that is not as the first process writes it.
 */

import { SpipedError } from "../errors.js";

/** The most of a wrong value that is shown. */
const MOST_SHOWN = 60;

/**
 * Reads such a variable.
 *
 * @throws SpipedError `SPIPED_USAGE` where its value is not one of ours.
 */
export function ownValue<T>(variable: string, text: string, isOne: (value: unknown) => value is T): T {
  const value = parsed(text);
  if (isOne(value)) return value;
  const shown = JSON.stringify(text.length > MOST_SHOWN ? `${text.slice(0, MOST_SHOWN)}…` : text);
  throw new SpipedError("SPIPED_USAGE", `bad value of ${variable}: ${shown}`, {
    hint: "spiped sets it for its own daemon, and nobody else should; unset it",
  });
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

/** Whether it is an object, and what is in it by name. */
export function isRecord(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** Whether it is a text, or not there. */
export function isTextOrNothing(value: unknown): value is string | undefined {
  return value === undefined || typeof value === "string";
}
