/**
 * Counts in messages.
 */

/** `1 key`, `2 keys`, `3,990 keys`; `nouns` where the plural is not regular. */
export function counted(count: number, noun: string, nouns = `${noun}s`): string {
  return `${grouped(count)} ${count === 1 ? noun : nouns}`;
}

/** `3,990`; without ICU, which takes time to load. */
export function grouped(count: number): string {
  return String(count).replace(/\B(?=(?:\d{3})+$)/g, ",");
}
