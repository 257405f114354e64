/**
 * `spipe --probe`: takes the steps of a connection one by one, and writes a verdict for each.
 */

import { type ReadKey, type ReadOptions, readKeyFile } from "../config/key-file.js";
import { KeyFolder, readKeyOrFolder } from "../config/key-folder.js";
import { noKeys } from "../config/key-folder-messages.js";
import { type FarEndOptions, probeFarEnd } from "../probe/far-end.js";
import { keyIdOf, type SharedKey } from "../protocol/secret.js";
import { mayOf } from "./file-access.js";
import { checkOutput } from "./output.js";
import { Verdicts } from "./probe-output.js";
import { type Identity, readerOf } from "./user.js";
import { unreadableFile, unreadableKeyFolder } from "./user-access.js";

/** Probes the far end at `target`. */
export async function probe(keyFile: string, options: Omit<FarEndOptions, "key">): Promise<number> {
  checkOutput();
  const verdicts = new Verdicts();
  const key = await checkKey(verdicts, keyFile, { exceptStandardInput: true });
  if (key !== undefined) {
    await verdicts.writeAll(probeFarEnd({ ...options, key }), { what: "far end", target: options.target });
    key.destroy();
  }
  return verdicts.exitStatus;
}

/**
 * Reads a key file or a folder of them, and writes a verdict for each key.
 *
 * @param identity - The user of `-u`, who must be able to reload a folder.
 * @returns The key, if there is one for all clients.
 */
export async function checkKeys(
  verdicts: Verdicts,
  path: string,
  identity: Identity | undefined,
): Promise<SharedKey | undefined> {
  const step = "key file";
  try {
    const read = await readKeyOrFolder(path, { reader: readerOf(identity) });
    if (!(read instanceof KeyFolder)) return await judged(verdicts, path, read, identity);
    const { good, bad, warnings } = await read.readFiles();
    if (good.length + bad.length === 0) throw noKeys(path);
    const firstById = new Map<string, string>();
    for (const { name, file, key, warnings } of good) {
      const id = keyIdOf(key);
      const first = firstById.get(id) ?? name;
      firstById.set(id, first);
      verdicts.write({ verdict: "ok", step, text: `${file} is the key of ${name}, id ${id}` });
      if (first !== name) {
        const text = `${file} is the same key as ${first}'s: its clients are logged as ${first}`;
        verdicts.write({ verdict: "warning", step, text });
      }
      for (const text of warnings) verdicts.write({ verdict: "warning", step, text });
      key.destroy();
    }
    for (const text of warnings) verdicts.write({ verdict: "warning", step, text });
    // Keys beyond the limit share one error.
    for (const error of new Set(bad.map(({ error }) => error))) verdicts.writeError(step, error);
    const unreadable = identity && (await unreadableKeyFolder(path, mayOf(verdicts, identity)));
    if (unreadable !== undefined) verdicts.write({ verdict: "warning", step, text: unreadable });
  } catch (error) {
    verdicts.writeError(step, error);
  }
  return undefined;
}

/**
 * Reads a key file, and writes a verdict.
 *
 * @param options.identity - The user of `-u`, who must be able to reload it.
 */
export async function checkKey(
  verdicts: Verdicts,
  keyFile: string,
  { identity, ...options }: ReadOptions & { readonly identity?: Identity | undefined } = {},
): Promise<SharedKey | undefined> {
  try {
    const read = await readKeyFile(keyFile, { ...options, reader: readerOf(identity) });
    return await judged(verdicts, keyFile, read, identity);
  } catch (error) {
    verdicts.writeError("key file", error);
    return undefined;
  }
}

async function judged(
  verdicts: Verdicts,
  keyFile: string,
  { key, warnings }: ReadKey,
  identity: Identity | undefined,
): Promise<SharedKey> {
  const step = "key file";
  verdicts.write({ verdict: "ok", step, text: `${keyFile} has id ${keyIdOf(key)}` });
  const unreadable = identity && (await unreadableFile("key file", keyFile, mayOf(verdicts, identity)));
  for (const text of [...warnings, unreadable]) {
    if (text !== undefined) verdicts.write({ verdict: "warning", step, text });
  }
  return key;
}
