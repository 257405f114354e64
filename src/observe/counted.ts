/**
 * Formats counts in messages.
 */

/** `1 key`, `2 keys`, `3,990 keys`; pass `nouns` for an irregular plural. */
export function counted(count: number, noun: string, nouns = `${noun}s`): string {
  return `${grouped(count)} ${count === 1 ? noun : nouns}`;
}

/** `3,990`. Does not use Intl, since ICU takes time to load. */
export function grouped(count: number): string {
  return String(count).replace(/\B(?=(?:\d{3})+$)/g, ",");
}
