/** The reasons that the system gives for an error, as a part of a message. */

import { getSystemErrorMap } from "node:util";
import { codeOf, messageOf } from "./errors.js";

/**
 * Why the system refused something, as the end of a sentence that says what: without the name of the system call, which
 * errors of Node.js and of the addon begin with, and without the address or the path, which they end with.
 */
export function systemReason(thrown: unknown): string {
  const message = messageOf(thrown);
  const code = codeOf(thrown);
  if (code === undefined) return message;
  const [, text = wordsOf(code, message)] =
    // Node.js, a file: `EACCES: permission denied, open '/x'`.
    /^E[A-Z0-9]+: ([^,]+)/.exec(message) ??
    // Node.js, a socket: `listen EADDRINUSE: address already in use [::1]:80`.
    /^\w+ E[A-Z0-9]+: (.*?)(?: \S*\d)?$/s.exec(withoutAddress(message, thrown)) ??
    // The addon: `listen: Address already in use`.
    /^[a-z][^:]*: (.+)$/.exec(message) ??
    [];
  return text.replace(/^[A-Z](?=[a-z])/, (first) => first.toLowerCase());
}

/** The path of a UNIX socket can be anything. */
function withoutAddress(message: string, thrown: unknown): string {
  const address = thrown instanceof Error && "address" in thrown ? ` ${thrown.address}` : "";
  return address !== "" && message.endsWith(address) ? message.slice(0, -address.length) : message;
}

/** Node.js, a socket or a process: `connect ENOENT /x`, `spawn /x EACCES`. */
function wordsOf(code: string, message: string): string {
  if (!message.split(" ").includes(code)) return message;
  const [, words = message] = [...getSystemErrorMap().values()].find(([name]) => name === code) ?? [];
  return words;
}
