// spipe with its standard streams connected to the test.

import { createHash } from "node:crypto";
import type { TestContext } from "node:test";
import { type Address, textOf } from "./addresses.js";
import { within } from "./cleanup.js";
import { Command } from "./command.js";
import type { Program } from "./programs.js";
import { RandomData } from "./random-data.js";
import { type Key, patience } from "./tunnel.js";

export interface SpipeOptions {
  readonly program: Program;
  /** Where to connect; a text is taken as it is. */
  readonly target: Address | string;
  readonly key: Key;
  readonly flags?: readonly string[];
  /** Additional environment variables. */
  readonly env?: Readonly<Record<string, string>>;
}

/** The arguments that start spipe. */
export function argsOfSpipe({ program, target, key, flags = [] }: SpipeOptions): readonly [string, ...string[]] {
  const targetText = typeof target === "string" ? target : textOf(target);
  return [...program.spipe, "-t", targetText, "-k", key.path, ...patience, ...flags];
}

/** A running spipe. */
export class Spipe {
  readonly command: Command;

  private constructor(command: Command) {
    this.command = command;
  }

  static start(t: TestContext, options: SpipeOptions): Spipe {
    return new Spipe(Command.start(t, argsOfSpipe(options), { env: options.env ?? {} }));
  }

  /** Writes to standard input and waits until it is taken. */
  async write(bytes: Uint8Array | string): Promise<void> {
    const written = new Promise<void>((resolve) => {
      this.command.stdin.write(bytes, () => resolve());
    });
    await within(written, "spipe to take its standard input");
  }

  /** Writes the first `lengthBytes` bytes of a seed to standard input. */
  async writeRandomData(seed: string, lengthBytes: number): Promise<void> {
    for (const piece of new RandomData(seed).pieces(lengthBytes)) await this.write(piece);
  }

  /** Ends standard input. */
  finish(): void {
    this.command.stdin.end();
  }

  /** Hashes standard output to its end without keeping it. */
  async digestToEnd(): Promise<{ digest: string; lengthBytes: number }> {
    const stdout = this.command.takeStdout();
    const hash = createHash("sha256");
    let lengthBytes = 0;
    stdout.on("data", (chunk: Buffer) => {
      hash.update(chunk);
      lengthBytes += chunk.length;
    });
    await within(new Promise((resolve) => stdout.once("end", resolve)), "the end of spipe's standard output");
    return { digest: hash.digest("hex"), lengthBytes };
  }
}
