/**
 * `spipe --probe`: goes through what a connection goes through, step by step, and judges each step in a line.
 */

import { type ReadOptions, readKeyFile } from "../config/key-file.js";
import { SpipedError } from "../errors.js";
import { printable } from "../observe/format.js";
import { type FarEndOptions, probeFarEnd } from "../probe/far-end.js";
import type { Finding } from "../probe/findings.js";
import { keyIdOf, type SharedKey } from "../protocol/secret.js";
import { writeOutput } from "./output.js";
import { type Judged, judge, type Probed } from "./probe-words.js";

/** Writes judged steps, and remembers whether one has failed. */
export class Verdicts {
  readonly #prefix: string;
  readonly #all: { hasFailed: boolean };

  constructor(prefix = "", all = { hasFailed: false }) {
    this.#prefix = prefix;
    this.#all = all;
  }

  /** 0 where nothing has failed. */
  get exitStatus(): number {
    return this.#all.hasFailed ? 1 : 0;
  }

  /** The same, with the tunnel's name in each line where it has one. */
  of(tunnel: string | undefined): Verdicts {
    return tunnel === undefined ? this : new Verdicts(`${tunnel}: `, this.#all);
  }

  write({ verdict, step, text, hint }: Judged): void {
    if (verdict === "failed") this.#all.hasFailed = true;
    const lines = [
      `${verdict.padEnd(8)} ${this.#prefix}${step}: ${text}`,
      ...(hint === undefined ? [] : [`         hint: ${hint}`]),
    ];
    writeOutput(lines.map((line) => `${printable(line)}\n`).join(""));
  }

  async writeAll(findings: AsyncIterable<Finding>, probed: Probed): Promise<void> {
    for await (const finding of findings) this.write(judge(finding, probed));
  }

  /** Judges an error as the end of a step. */
  writeError(step: string, error: unknown): void {
    if (!(error instanceof SpipedError)) throw error;
    this.write({ verdict: "failed", step, text: error.message, hint: error.hint });
  }
}

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
