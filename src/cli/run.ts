/**
 * Runs a command: loads and runs it, and turns what it throws into a message and exit status 1.
 *
 * The command's module is loaded here, so that a missing native part is reported like any other error.
 */

import { isLimit, SpipedError } from "../errors.js";
import { createLog, directSink } from "../observe/log.js";
import { signalIgnoredEntry } from "../observe/service-entries.js";
import { systemReason } from "../system-reason.js";
import { closeDebugger, takeSignal } from "./early-signals.js";
import { tellFaultsTo, watchFaults } from "./faults.js";
import { guessLog } from "./log-flags.js";
import { type RawArguments, rawArguments } from "./raw-arguments.js";

/** The module of a command. */
export interface CommandModule {
  /** Runs the command, and returns the exit status. */
  main(given: RawArguments): Promise<number> | number;
}

/** Runs a command and exits with its status. */
export async function run(program: string, load: () => Promise<CommandModule>): Promise<void> {
  let log = createLog(directSink(program));
  watchFaults(log);
  let status: number;
  try {
    const given = rawArguments();
    guessLog(program, given, process.env);
    const command = await load();
    const { prepareProcess } = await import("./own-process.js");
    log = prepareProcess(program);
    tellFaultsTo(log);
    await closeDebugger();
    for (const signal of ["SIGUSR1", "SIGUSR2"] as const)
      takeSignal(signal, () => log.write(signalIgnoredEntry(signal)));
    status = await command.main(given);
  } catch (error) {
    log.error(nameLimit(error));
    status = 1;
  }
  // A pending lookup or an idle thread must not keep the process alive.
  process.exit(status);
}

/** Explains an error that comes from a lack of descriptors; returns any other as it is. */
function nameLimit(error: unknown): unknown {
  if (error instanceof SpipedError || !isLimit(error)) return error;
  return new SpipedError("SPIPED_LIMIT", `this process may open too few files to start: ${systemReason(error)}`, {
    cause: error,
    hint: "raise the limit to at least 64 (ulimit -n, or LimitNOFILE= in a unit); each connection takes two more",
  });
}
