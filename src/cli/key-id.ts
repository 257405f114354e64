/**
 * The command `spiped key-id FILE...`.
 */

import { readKeyFile } from "../config/key-file.js";
import { messageOf } from "../errors.js";
import { printable } from "../observe/format.js";
import { createLog } from "../observe/log.js";
import { standardErrorSink } from "../observe/standard-error.js";
import { keyIdOf } from "../protocol/secret.js";
import { leaveSignal } from "./early-signals.js";
import { addFlags, createCommand, parseWords } from "./options.js";
import { writeOutput } from "./output.js";
import { StopSignals } from "./stop-signals.js";

/** Writes a line for each file; one that is no key does not keep the others from being told. */
export async function keyId(words: readonly string[]): Promise<number> {
  const command = addFlags(createCommand("spiped key-id", "FILE..."), "spiped key-id")
    .description("Tells keys apart: the same id, the same key. An id may be shown to anybody; a key's SHA-256 may not.")
    .argument("<file...>", "key files; - is standard input");
  const parsed = parseWords(command, words);
  if (parsed !== undefined) return parsed.exitStatus;
  const log = createLog(standardErrorSink("spiped"));
  leaveSignal("SIGHUP");
  const { early } = new StopSignals({ hangUp: false });
  let status = 0;
  for (const file of command.args) {
    try {
      const read = await Promise.race([readKeyFile(file), early]);
      if (read === undefined) return 1;
      const { key, warnings } = read;
      writeOutput(`${keyIdOf(key)}  ${printable(file)}\n`);
      key.destroy();
      for (const warning of warnings) log.warning(warning);
    } catch (error) {
      log.warning(messageOf(error));
      status = 1;
    }
  }
  return status;
}
