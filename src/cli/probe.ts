/**
 * `spipe --probe`: goes through what a connection goes through, step by step, and judges each step in a line.
 */

import { type ReadOptions, readKeyFile } from "../config/key-file.js";
import { type FarEndOptions, probeFarEnd } from "../probe/far-end.js";
import { keyIdOf, type SharedKey } from "../protocol/secret.js";
import { Verdicts } from "./verdicts.js";

/** Probes the far end of `target`. */
export async function probe(keyFile: string, options: Omit<FarEndOptions, "key">): Promise<number> {
  const verdicts = new Verdicts();
  const key = await checkKey(verdicts, keyFile, { exceptStandardInput: true });
  if (key !== undefined) {
    await verdicts.writeAll(probeFarEnd({ ...options, key }), { what: "far end", target: options.target });
    key.destroy();
  }
  return verdicts.exitStatus;
}

/** Reads a key file, and judges it. */
export async function checkKey(
  verdicts: Verdicts,
  keyFile: string,
  options: ReadOptions = {},
): Promise<SharedKey | undefined> {
  const step = "key file";
  try {
    const { key, warnings } = await readKeyFile(keyFile, options);
    verdicts.write({ verdict: "ok", step, text: `${keyFile} has the id ${keyIdOf(key)}` });
    for (const text of warnings) verdicts.write({ verdict: "warning", step, text });
    return key;
  } catch (error) {
    verdicts.writeError(step, error);
    return undefined;
  }
}
