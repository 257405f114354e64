/**
 * The command `spiped key-id FILE...`. A folder stands for the keys in it.
 */

import { join } from "node:path";
import { readKeyOrFolder } from "../config/key-folder.js";
import { noKeys } from "../config/key-folder-messages.js";
import { printable } from "../observe/format.js";
import { createLog } from "../observe/log.js";
import { standardErrorSink } from "../observe/standard-error.js";
import { keyIdOf, type SharedKey } from "../protocol/secret.js";
import { leaveSignal } from "./early-signals.js";
import { addFlags, createCommand, parseArguments } from "./options.js";
import { writeOutput } from "./output.js";
import { StopSignals } from "./stop-signals.js";

/** Writes a line for each key file, also of a folder. Files that are no key are reported, and the others still shown. */
export async function keyId(args: readonly string[]): Promise<number> {
  const command = addFlags(createCommand("spiped key-id", "FILE..."), "spiped key-id")
    .description(
      "Shows the ids of key files: the same id means the same key. An id is public; the SHA-256 of a key is not.",
    )
    .argument("<file...>", "key files or folders of them; - is standard input");
  const parsed = parseArguments(command, args);
  if (parsed !== undefined) return parsed.exitStatus;
  const log = createLog(standardErrorSink("spiped"));
  leaveSignal("SIGHUP");
  const { early } = new StopSignals({ hangUp: false });
  let status = 0;
  for (const path of command.args) {
    const keys = await Promise.race([readKeys(path), early]);
    if (keys === undefined) return 1;
    for (const { file, key } of keys.good) {
      writeOutput(`${keyIdOf(key)}  ${printable(file)}\n`);
      key.destroy();
    }
    for (const warning of keys.warnings) log.warning(warning);
    for (const error of new Set(keys.errors)) log.error(error);
    if (keys.errors.length > 0) status = 1;
  }
  return status;
}

interface Keys {
  readonly good: readonly { readonly file: string; readonly key: SharedKey }[];
  readonly warnings: readonly string[];
  readonly errors: readonly unknown[];
}

async function readKeys(path: string): Promise<Keys> {
  try {
    const read = await readKeyOrFolder(path);
    if ("key" in read) return { good: [{ file: path, key: read.key }], warnings: read.warnings, errors: [] };
    const { good, bad, warnings } = await read.readFiles();
    if (good.length + bad.length === 0) throw noKeys(path);
    return {
      good: good.map(({ file, key }) => ({ file: join(path, file), key })),
      warnings: [...warnings, ...good.flatMap((key) => key.warnings)],
      errors: bad.map(({ error }) => error),
    };
  } catch (error) {
    return { good: [], warnings: [], errors: [error] };
  }
}
