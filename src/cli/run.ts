/**
 * Runs a command: loads it, lets it run, and turns what it throws into one clear line and exit status 1.
 *
 * The command is loaded by a function so that a missing native part is told like any other error.
 */

import { isLimit, messageOf, SpipedError } from "../errors.js";
import { createLog, directSink } from "../observe/log.js";
import { closeDebugger, takeSignal } from "./early-signals.js";
import { tellFaultsTo, watchFaults } from "./faults.js";
import { takeGiven } from "./given.js";
import { guessLog } from "./log-flags.js";

/** A command's module. */
export interface Command {
  /**
   * Runs to the end.
   *
   * @param words - The words after the program's name.
   * @returns The exit status.
   */
  main(words: readonly string[]): Promise<number> | number;
}

/** Runs a command and ends the process with its exit status. */
export async function run(program: string, load: () => Promise<Command>): Promise<void> {
  let log = createLog(directSink(program));
  watchFaults(log);
  let status: number;
  try {
    const given = takeGiven();
    guessLog(program, given, process.env);
    const command = await load();
    const { prepareProcess } = await import("./own-process.js");
    log = prepareProcess(program);
    tellFaultsTo(log);
    await closeDebugger();
    for (const signal of ["SIGUSR1", "SIGUSR2"] as const) takeSignal(signal, () => log.notice(`${signal}: goes on`));
    status = await command.main(given.words);
  } catch (error) {
    log.error(nameLimit(error));
    status = 1;
  }
  // Whatever still waits (a look-up, an idle thread) must not keep a finished program alive.
  process.exit(status);
}

/** What `error` is where the machine has no more descriptors; anything else as it is. */
function nameLimit(error: unknown): unknown {
  if (error instanceof SpipedError || !isLimit(error)) return error;
  return new SpipedError("SPIPED_LIMIT", `this process may open too few files to start: ${messageOf(error)}`, {
    cause: error,
    hint: "raise the limit to 64 at least (ulimit -n, LimitNOFILE= of a unit); each connection takes two more",
  });
}
