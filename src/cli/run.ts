/**
 * Runs a command: loads it, lets it run, and turns what it throws into one clear line and exit status 1.
 *
 * The command is loaded by a function so that a missing native part is told like any other error.
 */

import { codeOf, messageOf, SpipedError } from "../errors.js";
import { createLog, streamSink } from "../observe/log.js";
import { takeGiven } from "./given.js";

/** So long may a slow reader of standard error take for the last lines. */
const LAST_LINES_MS = 1_000;

/** A command's module. */
export interface Command {
  /**
   * Runs to the end.
   *
   * @param words - The words after the program's name.
   * @returns The exit status.
   */
  main(words: readonly string[]): Promise<number>;
}

/** Runs a command and ends the process with its exit status. */
export async function run(program: string, load: () => Promise<Command>): Promise<void> {
  const log = createLog(streamSink(program, process.stderr));
  let status: number;
  try {
    const { words } = takeGiven();
    status = await (await load()).main(words);
  } catch (error) {
    log.error(nameLimit(error));
    status = 1;
  }
  process.exitCode = status;
  // Whatever still waits (a look-up, an idle thread) must not keep a finished program alive.
  await flushed(process.stdout);
  // Lines are dropped rather than waited for, here as everywhere.
  await Promise.race([flushed(process.stderr), after(LAST_LINES_MS)]);
  process.exit();
}

/** What `error` is where the machine has no more descriptors; anything else as it is. */
function nameLimit(error: unknown): unknown {
  if (error instanceof SpipedError || !["EMFILE", "ENFILE"].includes(codeOf(error) ?? "")) return error;
  return new SpipedError("SPIPED_LIMIT", `this process may open too few files to start: ${messageOf(error)}`, {
    cause: error,
    hint: "raise the limit to 64 at least (ulimit -n, LimitNOFILE= of a unit); each connection takes two more",
  });
}

function after(delayMs: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, delayMs));
}

function flushed(stream: NodeJS.WriteStream): Promise<void> {
  return new Promise((resolve) => {
    if (stream.destroyed || stream.writableLength === 0) resolve();
    else stream.write("", () => resolve());
  });
}
