/**
 * The command `spiped keygen FILE`.
 */

import { randomFillSync } from "node:crypto";
import { generateKeyFile } from "../config/new-key-file.js";
import { leaveSignal } from "./early-signals.js";
import { addFlags, createCommand, parseArguments } from "./options.js";
import { usageError } from "./usage-error.js";

/** Writes a new key file. */
export function keygen(args: readonly string[]): number {
  for (const signal of ["SIGTERM", "SIGINT", "SIGHUP"] as const) leaveSignal(signal);
  const command = addFlags(createCommand("spiped keygen", "FILE"), "spiped keygen")
    .description("Writes a new key file: 32 random bytes, mode 0600. It never overwrites a file.")
    .argument("<file>", "the key file to write");
  const parsed = parseArguments(command, args);
  if (parsed !== undefined) return parsed.exitStatus;
  const path = command.args[0] ?? "";
  if (path === "") throw usageError("the file name is empty", "is a shell variable unset?");
  if (path === "-") throw usageError("spiped keygen writes to a file, not to standard output", "name a file");
  generateKeyFile(path, randomFillSync);
  return 0;
}
