/**
 * The daemon. Node cannot fork, so the daemon is a second process with the same words in a session of its own, and the
 * first one waits until it is told that the second one is ready.
 *
 *     first process                         second process
 *     parse, start the second ─────────────→ parse, look up, read the key, listen, pid file, -u
 *     exit 0 ←──────────── "ready" on a pipe ┘
 *     exit 1 ←── the pipe is closed without it; the reason is on standard error already
 */

import { spawn } from "node:child_process";
import { closeSync, fstatSync, writeSync } from "node:fs";
import { messageOf, SpipedError } from "../errors.js";

/** Names the descriptor of the pipe to the second process. */
const REPORT_VARIABLE = "SPIPED_INTERNAL_REPORT";
const REPORT_DESCRIPTOR = 3;
const READY = "ready";

/** Tells the first process that the daemon is ready, or does nothing. Called at most once with effect. */
export type ReportReady = () => void;

/** Whether this is the second process: then what tells the first one, else undefined. */
export function takeReport(environment: NodeJS.ProcessEnv): ReportReady | undefined {
  const value = environment[REPORT_VARIABLE];
  delete environment[REPORT_VARIABLE];
  if (value !== String(process.ppid) || !isPipe(REPORT_DESCRIPTOR)) return undefined;
  let open = true;
  return () => {
    if (!open) return;
    open = false;
    try {
      writeSync(REPORT_DESCRIPTOR, READY);
    } catch {
      // The first process is gone; nobody waits for the answer.
    }
    closeSync(REPORT_DESCRIPTOR);
  };
}

/**
 * Starts the second process and waits for its report.
 *
 * @param takesInput - True where the key comes from standard input, which the daemon then has to read.
 * @returns The first process's exit status.
 */
export async function startDaemon(takesInput: boolean): Promise<number> {
  const [program, script, ...words] = [process.execPath, process.argv[1] ?? "", ...process.argv.slice(2)];
  const daemon = spawn(program, [...process.execArgv, script, ...words], {
    argv0: process.argv0,
    detached: true,
    env: { ...process.env, [REPORT_VARIABLE]: String(process.pid) },
    stdio: [takesInput ? "inherit" : "ignore", "inherit", "inherit", "pipe"],
  });
  const failed = new Promise<never>((_resolve, reject) => daemon.once("error", reject));
  try {
    return (await Promise.race([failed, report(daemon.stdio[REPORT_DESCRIPTOR])])) === READY ? 0 : 1;
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
