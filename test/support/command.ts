// A command started by a test: its log messages, its exit, and whether it is listening.

import { type ChildProcess, spawn } from "node:child_process";
import type { Readable, Writable } from "node:stream";
import type { TestContext } from "node:test";
import { afterwards, within } from "./cleanup.js";

/** How a command ended. */
export interface Exit {
  readonly status: number | null;
  readonly signal: NodeJS.Signals | null;
}

export interface CommandOptions {
  /** Standard input: a pipe for the test (the default), nothing, or an open file. */
  readonly stdin?: "pipe" | "ignore" | number;
  /** What standard output is. */
  readonly stdout?: "pipe" | number;
  /** What standard error is. */
  readonly stderr?: "pipe" | number;
  /** Open files to pass as descriptors 3 and up. */
  readonly more?: readonly number[];
  readonly cwd?: string;
  /** Additional environment variables. */
  readonly env?: Readonly<Record<string, string>>;
}

const running = new Set<ChildProcess>();
// The tests clean up by themselves; this is for the case that the test process dies.
process.on("exit", () => {
  for (const child of running) child.kill("SIGKILL");
});

/** A running command. It is killed when the test ends. */
export class Command {
  readonly commandLine: string;
  readonly child: ChildProcess;
  readonly #stderr: Buffer[] = [];
  readonly #stdout: Buffer[] = [];
  #keepsStdout = true;
  #isGone = false;
  #wake: Array<() => void> = [];
  readonly #exit: Promise<Exit>;
  readonly #ownExit: Promise<Exit>;

  private constructor(args: readonly [string, ...string[]], options: CommandOptions) {
    this.commandLine = args.join(" ");
    const [file, ...rest] = args;
    const stdio = [options.stdin ?? "pipe", options.stdout ?? "pipe", options.stderr ?? "pipe"] as const;
    this.child = spawn(file, rest, {
      stdio: [...stdio, ...(options.more ?? [])],
      env: { ...process.env, ...options.env },
      ...(options.cwd === undefined ? {} : { cwd: options.cwd }),
    });
    running.add(this.child);
    this.child.stderr?.on("data", (chunk: Buffer) => {
      this.#stderr.push(chunk);
      this.#changed();
    });
    this.child.stdout?.on("data", (chunk: Buffer) => {
      if (this.#keepsStdout) this.#stdout.push(chunk);
    });
    this.child.stdin?.on("error", () => {
      // The command exited without reading everything; the test sees its exit status.
    });
    this.#exit = new Promise((resolve, reject) => {
      this.child.once("error", reject);
      this.child.once("close", (status, signal) => {
        this.#isGone = true;
        running.delete(this.child);
        this.#changed();
        resolve({ status, signal });
      });
    });
    this.#ownExit = new Promise((resolve, reject) => {
      this.child.once("error", reject);
      this.child.once("exit", (status, signal) => resolve({ status, signal }));
    });
    // The test may await something else first; the rejection must not be unhandled meanwhile.
    this.#exit.catch(() => undefined);
    this.#ownExit.catch(() => undefined);
  }

  static start(t: TestContext, args: readonly [string, ...string[]], options: CommandOptions = {}): Command {
    const command = new Command(args, options);
    afterwards(t, () => command.kill());
    return command;
  }

  /** Runs a command to its end. */
  static async run(
    t: TestContext,
    args: readonly [string, ...string[]],
    options: CommandOptions = { stdin: "ignore" },
  ): Promise<{ status: number | null; stdout: string; stderr: string }> {
    const command = Command.start(t, args, options);
    const { status } = await command.exit();
    return { status, stdout: command.stdout.toString(), stderr: command.stderr };
  }

  #changed(): void {
    for (const resolve of this.#wake.splice(0)) resolve();
  }

  /** Standard error so far. */
  get stderr(): string {
    return Buffer.concat(this.#stderr).toString();
  }

  /** Standard output so far, unless the test took the stream. */
  get stdout(): Buffer {
    return Buffer.concat(this.#stdout);
  }

  /** The complete lines on standard error so far. */
  get lines(): readonly string[] {
    return this.stderr.split("\n").slice(0, -1);
  }

  get isGone(): boolean {
    return this.#isGone;
  }

  get id(): number {
    if (this.child.pid === undefined) throw new Error(`${this.commandLine} did not start`);
    return this.child.pid;
  }

  /** Standard input, where it is a pipe. */
  get stdin(): Writable {
    if (this.child.stdin === null) throw new Error(`the standard input of ${this.commandLine} is no pipe`);
    return this.child.stdin;
  }

  /** Standard output for the test to read; it is no longer collected. */
  takeStdout(): Readable {
    if (this.child.stdout === null) throw new Error(`the standard output of ${this.commandLine} is no pipe`);
    this.#keepsStdout = false;
    return this.child.stdout;
  }

  /**
   * Waits until `count` matching lines have arrived.
   *
   * @throws Error when the command exits first.
   */
  async line(pattern: RegExp, count = 1): Promise<string> {
    const wait = async (): Promise<string> => {
      for (;;) {
        const found = this.lines.filter((line) => pattern.test(line))[count - 1];
        if (found !== undefined) return found;
        if (this.#isGone) throw new Error(`${this.commandLine} ended without the line ${pattern}: ${this.stderr}`);
        await new Promise<void>((resolve) => this.#wake.push(resolve));
      }
    };
    return within(wait(), () => `${count} × the line ${pattern} of ${this.commandLine}, which said: ${this.stderr}`);
  }

  /** Waits until the command has exited and its output is closed. */
  async exit(): Promise<Exit> {
    return within(this.#exit, () => `the end of ${this.commandLine}, which said: ${this.stderr}`);
  }

  /** Waits for the command's exit only: a daemon that it left behind may still have its output open. */
  async ownExit(): Promise<Exit> {
    return within(this.#ownExit, () => `the end of ${this.commandLine}, which said: ${this.stderr}`);
  }

  signal(signal: NodeJS.Signals): void {
    this.child.kill(signal);
  }

  /** Kills the command if it is still running. */
  async kill(): Promise<void> {
    if (this.#isGone || this.child.pid === undefined) return;
    this.child.kill("SIGKILL");
    await this.exit();
  }
}
