/**
 * The command `spiped keygen FILE`.
 */

import { randomFillSync } from "node:crypto";
import { generateKeyFile } from "../config/new-key-file.js";
import { leaveSignal } from "./early-signals.js";
import { addFlags, createCommand, parseWords } from "./options.js";

/** Writes a new key file. */
export function keygen(words: readonly string[]): number {
  for (const signal of ["SIGTERM", "SIGINT", "SIGHUP"] as const) leaveSignal(signal);
  const command = addFlags(createCommand("spiped keygen", "FILE"), "spiped keygen")
    .description("Writes a new key: 32 random bytes, mode 0600, never over an existing file.")
    .argument("<file>", "the key file to write");
  const parsed = parseWords(command, words);
  if (parsed !== undefined) return parsed.exitStatus;
  generateKeyFile(command.args[0] ?? "", randomFillSync);
  return 0;
}
