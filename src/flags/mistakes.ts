/**
 * What is wrong in a configuration, as people are told: where, and what to do.
 */

import { SpipedError } from "../errors.js";

/** One mistake. */
export interface Mistake {
  /** The file, or the folder where it is the folder's. */
  readonly file: string;
  /** From 1 on, where it is known. */
  readonly line: number | undefined;
  /** Where in the file: `["decrypt", "redis", "sorce"]`; empty where it is the whole file. */
  readonly path: readonly string[];
  /** What is wrong, and behind a semicolon what helps. */
  readonly message: string;
}

/** One or more. */
export type Mistakes = readonly [Mistake, ...Mistake[]];

/** A mistake as one line. */
export function textOf({ file, line, path, message }: Mistake): string {
  const place = line === undefined ? file : `${file}:${line}`;
  const text = path.length === 0 ? `${place}: ${message}` : `${place}: ${pathText(path)}: ${message}`;
  // A file's name may have line breaks, and they look like mistakes of their own.
  return text.replaceAll("\n", "?");
}

/** A place in a file, as TOML writes it. */
export function pathText(path: readonly string[]): string {
  return path.map((key) => (/^[A-Za-z0-9_-]+$/.test(key) ? key : JSON.stringify(key))).join(".");
}

/** The word that somebody may have meant; undefined where none is near. */
export function nearest(word: string, words: readonly string[]): string | undefined {
  const plain = word.toLowerCase().replaceAll("_", "-");
  const most = Math.max(1, Math.floor(plain.length / 3));
  const near = words
    .map((one) => ({ one, distance: distanceBetween(plain, one) }))
    .filter(({ distance }) => distance <= most)
    .sort((left, right) => left.distance - right.distance);
  return near[0]?.one;
}

/** How many letters have to be put in, left out, changed, or swapped with the next. */
function distanceBetween(one: string, other: string): number {
  // Nothing of ours is longer, and nobody's typing error is either.
  if (one.length > 64) return Number.POSITIVE_INFINITY;
  const rows: number[][] = [Array.from({ length: other.length + 1 }, (_none, at) => at)];
  for (let i = 1; i <= one.length; i += 1) {
    const row = [i];
    for (let j = 1; j <= other.length; j += 1) {
      const same = one[i - 1] === other[j - 1] ? 0 : 1;
      const isSwapped = i > 1 && j > 1 && one[i - 1] === other[j - 2] && one[i - 2] === other[j - 1];
      row.push(
        Math.min(
          cell(rows, i - 1, j) + 1,
          (row[j - 1] ?? 0) + 1,
          cell(rows, i - 1, j - 1) + same,
          isSwapped ? cell(rows, i - 2, j - 2) + 1 : Number.POSITIVE_INFINITY,
        ),
      );
    }
    rows.push(row);
  }
  return cell(rows, one.length, other.length);
}

function cell(rows: readonly (readonly number[])[], row: number, column: number): number {
  return rows[row]?.[column] ?? Number.POSITIVE_INFINITY;
}

/** What a start comes to that has nothing to start from: a line for each mistake. */
export function asError(mistakes: Mistakes): SpipedError {
  return new SpipedError("SPIPED_CONFIG", mistakes.map(textOf).join("\n"));
}
