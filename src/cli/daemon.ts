/**
 * The daemon. Node cannot fork, so the daemon is a second process with the same words in a session of its own, and the
 * first one waits until it is told that the second one is ready.
 *
 *     first process                         second process
 *     parse, start the second ─────────────→ parse, look up, read the key, listen, pid file, -u
 *     exit 0 ←──────────── "ready" on a pipe ┘
 *     exit 1 ←── the pipe is closed without it; the reason is on standard error already
 *
 * There is no daemon unless the first process could return 0: told to end, it takes the second one with it, and when
 * it is gone, the second one ends as soon as it wants to report.
 */

import { spawn } from "node:child_process";
import { closeSync, fstatSync, writeSync } from "node:fs";
import { messageOf, SpipedError } from "../errors.js";
import { variablesForDaemon } from "./given.js";
import { requireDaemonMachine } from "./machine.js";

/** Names the descriptor of the pipe to the second process. */
const REPORT_VARIABLE = "SPIPED_INTERNAL_REPORT";
const REPORT_DESCRIPTOR = 3;
const READY = "ready";

/**
 * Tells the first process that the daemon is ready. Called at most once with effect.
 *
 * @throws SpipedError `SPIPED_DAEMON` where the first process has gone.
 */
export type ReportReady = () => void;

/**
 * Whether this is the second process: then what tells the first one, else undefined.
 *
 * @throws SpipedError `SPIPED_DAEMON` where the first process has gone already.
 */
export function takeReport(environment: NodeJS.ProcessEnv): ReportReady | undefined {
  const value = environment[REPORT_VARIABLE];
  delete environment[REPORT_VARIABLE];
  if (value === undefined) return undefined;
  if (value !== String(process.ppid) || !isPipe(REPORT_DESCRIPTOR)) throw nobodyWaits();
  let open = true;
  return () => {
    if (!open) return;
    open = false;
    try {
      writeSync(REPORT_DESCRIPTOR, READY);
    } catch (cause) {
      throw nobodyWaits(cause);
    } finally {
      closeSync(REPORT_DESCRIPTOR);
    }
  };
}

function nobodyWaits(cause?: unknown): SpipedError {
  return new SpipedError("SPIPED_DAEMON", "whoever started the daemon has gone before it was ready", { cause });
}

/**
 * Starts the second process and waits for its report.
 *
 * @param takesInput - True where the key comes from standard input, which the daemon then has to read.
 * @returns The first process's exit status.
 */
export async function startDaemon(takesInput: boolean): Promise<number> {
  requireDaemonMachine();
  const [program, script, ...words] = [process.execPath, process.argv[1] ?? "", ...process.argv.slice(2)];
  const daemon = spawn(program, [...process.execArgv, script, ...words], {
    argv0: process.argv0,
    detached: true,
    env: { ...process.env, ...variablesForDaemon(), [REPORT_VARIABLE]: String(process.pid) },
    stdio: [takesInput ? "inherit" : "ignore", "inherit", "inherit", "pipe"],
  });
  const failed = new Promise<never>((_resolve, reject) => daemon.once("error", reject));
  const ended = new Promise<NodeJS.Signals | null>((resolve) => {
    daemon.once("exit", (_status, signal) => resolve(signal));
  });
  let givenUp = false;
  for (const signal of ["SIGINT", "SIGTERM"]) {
    process.on(signal, () => {
      givenUp = true;
      // It may be reading its key and deaf to anything else. What files it has made, the next start replaces.
      daemon.kill("SIGKILL");
    });
  }
  try {
    const reported = await Promise.race([failed, report(daemon.stdio[REPORT_DESCRIPTOR])]);
    if (reported === READY && !givenUp) return 0;
    const signal = await ended;
    if (signal !== null) throw new Error(`it was ended by ${signal} before it was ready`);
    return 1;
  } catch (cause) {
    throw new SpipedError("SPIPED_DAEMON", `cannot start the daemon: ${messageOf(cause)}`, {
      cause,
      hint: "stay in the foreground with -F, and let a service manager do the rest",
    });
  } finally {
    daemon.unref();
  }
}

async function report(pipe: unknown): Promise<string> {
  let text = "";
  for await (const piece of pipe as AsyncIterable<Buffer>) text += piece.toString("latin1");
  return text;
}

function isPipe(descriptor: number): boolean {
  try {
    const status = fstatSync(descriptor);
    return status.isFIFO() || status.isSocket();
  } catch {
    return false;
  }
}
