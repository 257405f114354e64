/**
 * Finds the option that a misspelled or guessed name stands for.
 */

/** Names that people try, mostly from other programs, and the long names of the options that they stand for. */
const ALIASES: Readonly<Record<string, string>> = {
  keyfile: "key",
  "key-file": "key",
  secret: "key",
  passphrase: "key",
  listen: "source",
  src: "source",
  connect: "target",
  dest: "target",
  destination: "target",
  client: "encrypt",
  server: "decrypt",
  "no-daemon": "foreground",
  nodaemon: "foreground",
  nofork: "foreground",
  "run-as": "user",
  conf: "config",
  verbose: "log-level",
  debug: "log-level",
  quiet: "log-level",
  metrics: "status",
  usage: "help",
};

/** Shorter abbreviations are too ambiguous. */
const SHORTEST_ABBREVIATION = 3;

/**
 * The option that was probably meant.
 *
 * @param name - As typed, without dashes.
 * @param known - The long names to choose from.
 * @param options.isWhole - Whether to rule out abbreviations, and names with an additional word.
 */
export function meantOption(
  name: string,
  known: readonly string[],
  { isWhole = false }: { readonly isWhole?: boolean } = {},
): string | undefined {
  const plain = name.toLowerCase().replaceAll("_", "-");
  const alias = Object.hasOwn(ALIASES, plain) ? ALIASES[plain] : undefined;
  if (alias !== undefined && known.includes(alias)) return alias;
  const near = nearest(plain, known);
  if (near !== undefined || isWhole) return near;
  const [abbreviated, ...others] =
    plain.length < SHORTEST_ABBREVIATION ? [] : known.filter((one) => one.startsWith(plain));
  if (abbreviated !== undefined && others.length === 0) return abbreviated;
  return known.find((one) => plain.startsWith(`${one}-`));
}

/** The known name that is closest to a misspelled one; undefined if none is close. */
export function nearest(name: string, known: readonly string[]): string | undefined {
  const plain = name.toLowerCase().replaceAll("_", "-");
  const most = Math.max(1, Math.floor(plain.length / 3));
  const near = known
    .map((one) => ({ one, distance: distanceBetween(plain, one) }))
    .filter(({ distance }) => distance <= most)
    .sort((left, right) => left.distance - right.distance);
  return near[0]?.one;
}

/** Damerau-Levenshtein distance: letters inserted, deleted, changed, or swapped with the next. */
function distanceBetween(one: string, other: string): number {
  // No option has a name nearly as long.
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
