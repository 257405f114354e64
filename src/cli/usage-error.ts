/**
 * Errors in the arguments, and how their messages write names and values.
 */

import { SpipedError } from "../errors.js";

/** An error in the arguments. The message starts in lower case; the hint says what to do. */
export function usageError(message: string, hint: string): SpipedError {
  return new SpipedError("SPIPED_USAGE", message, { hint });
}

/** Joins names for a sentence: `a, b and c`. */
export function listOf(names: readonly string[], conjunction = "and"): string {
  return names.length < 2 ? names.join("") : `${names.slice(0, -1).join(", ")} ${conjunction} ${names.at(-1)}`;
}

/** Quotes a value for a shell if necessary. */
export function quoted(value: string): string {
  return /^[\w@%+=:,./-]+$/.test(value) ? value : `'${value.replaceAll("'", "'\\''")}'`;
}
