/**
 * Mistakes in a configuration file, and how they are written: the place, what is wrong, and what to do.
 */

import { SpipedError } from "../errors.js";

/** One mistake. */
export interface Mistake {
  /** The file; the folder, for a mistake about the folder itself. */
  readonly file: string;
  /** From 1; undefined where it is not known. */
  readonly line: number | undefined;
  /** The key in the file, such as `["decrypt", "redis", "sorce"]`; empty for the file as a whole. */
  readonly path: readonly string[];
  /** What is wrong; the remedy follows a semicolon. */
  readonly message: string;
}

/** One or more. */
export type Mistakes = readonly [Mistake, ...Mistake[]];

/** A mistake as one line. */
export function textOf({ file, line, path, message }: Mistake): string {
  const place = line === undefined ? file : `${file}:${line}`;
  const text = path.length === 0 ? `${place}: ${message}` : `${place}: ${pathText(path)}: ${message}`;
  // A line break in a file name must not look like the start of another mistake.
  return text.replaceAll("\n", "?");
}

/** A key with its tables, as TOML writes it. */
export function pathText(path: readonly string[]): string {
  return path.map((key) => (/^[A-Za-z0-9_-]+$/.test(key) ? key : JSON.stringify(key))).join(".");
}

/** All mistakes as one error, one line each. */
export function asError(mistakes: Mistakes): SpipedError {
  return new SpipedError("SPIPED_CONFIG", mistakes.map(textOf).join("\n"));
}
