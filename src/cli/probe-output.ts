/**
 * Writes verdicts to standard output: one line per step, followed by a hint.
 */

import { SpipedError } from "../errors.js";
import { printable } from "../observe/format.js";
import type { Finding } from "../probe/findings.js";
import { writeOutput } from "./output.js";
import { type Judged, judge, type Probed } from "./probe-messages.js";

/** Writes verdicts, and remembers whether a step has failed. */
export class Verdicts {
  readonly #prefix: string;
  readonly #all: { hasFailed: boolean };
  readonly #write: (text: string) => void;

  constructor(prefix = "", all = { hasFailed: false }, write = writeOutput) {
    this.#prefix = prefix;
    this.#all = all;
    this.#write = write;
  }

  /** 0 if no step has failed. */
  get exitStatus(): number {
    return this.#all.hasFailed ? 1 : 0;
  }

  /** Writes the verdicts of one tunnel, with its name, all at once when they are complete and it is their turn. */
  async ofTunnel(name: string, judgeAll: (verdicts: Verdicts) => Promise<void>, turn: Promise<void>): Promise<void> {
    const texts: string[] = [];
    await judgeAll(new Verdicts(`${name}: `, this.#all, (text) => texts.push(text)));
    await turn;
    this.#write(texts.join(""));
  }

  write({ verdict, step, text, hint }: Judged): void {
    if (verdict === "failed") this.#all.hasFailed = true;
    const lines = [
      `${verdict.padEnd(8)} ${this.#prefix}${step}: ${text}`,
      ...(hint === undefined ? [] : [`         hint: ${hint}`]),
    ];
    this.#write(lines.map((line) => `${printable(line)}\n`).join(""));
  }

  async writeAll(findings: AsyncIterable<Finding>, probed: Probed): Promise<void> {
    for await (const finding of findings) this.write(judge(finding, probed));
  }

  /** Writes an error as a failed step. */
  writeError(step: string, error: unknown): void {
    if (!(error instanceof SpipedError)) throw error;
    this.write({ verdict: "failed", step, text: error.message, hint: error.hint });
  }
}
