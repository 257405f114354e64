/**
 * Starts the daemon. Node cannot fork, so the daemon is a second process with the same arguments in its own session. The
 * first process waits until the second one reports that it is ready.
 *
 *     first process                         second process
 *     parse, open the key, start the second → parse, look up, read the key, listen, pid file, -u
 *     exit 0 ←──────────── "ready" on a pipe ┘
 *     exit 1 ←── the pipe is closed without it; the reason is on standard error already
 *
 * The first process opens the key, because its path may mean nothing to the second: /dev/stdin and /dev/fd/63 are
 * descriptors of the first, and a named pipe has one reader.
 *
 * A daemon stays only if the first process could exit with 0. A signal to the first process stops the second one as
 * well, and if the first process is gone, the second one exits when it tries to report.
 */

import { type ChildProcess, spawn } from "node:child_process";
import { closeSync, fstatSync, writeSync } from "node:fs";
import { openKeyFile } from "../config/key-file.js";
import { isLimit, SpipedError } from "../errors.js";
import { systemReason } from "../system-reason.js";
import { checkDaemonCanStart } from "./daemon-preflight.js";
import { isHangUpIgnored, takeSignal } from "./early-signals.js";
import { variablesForDaemon } from "./raw-arguments.js";
import { forDaemon, takeFromServiceManager } from "./service-manager-variables.js";

/** The hint where a pipe or a descriptor cannot be read. */
export const KEY_INSTEAD = "-k - reads the key from standard input";

/** Tells the second process that it is one. Its value is the id of the first. */
const REPORT_VARIABLE = "SPIPED_INTERNAL_REPORT";
const REPORT_DESCRIPTOR = 3;

/** The second process's descriptor of the open key file, unless the key comes from standard input with `-k -`. */
export const KEY_DESCRIPTOR = 4;

/** The second process's first descriptor of the sockets that a service manager has handed over. */
const FIRST_HANDED_DESCRIPTOR = 5;
const READY = "ready";

/** How long a daemon that is stopped before it is ready may take to exit. */
const EXIT_LIMIT_MS = 2_000;

/**
 * Tells the first process that the daemon is ready. Only the first call has an effect.
 *
 * @throws SpipedError `SPIPED_DAEMON` if the first process is gone.
 */
export type ReportReady = () => void;

/**
 * Takes the way to report to the first process.
 *
 * @returns Undefined if this is not the second process.
 * @throws SpipedError `SPIPED_DAEMON` if the first process is already gone.
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
  return new SpipedError("SPIPED_DAEMON", "the process that started the daemon is gone", { cause });
}

/**
 * Starts the second process and waits for its report.
 *
 * @param keyFile - The key file to open for it; `-` for standard input; undefined if it opens its keys itself.
 * @returns The exit status of the first process.
 * @throws SpipedError `SPIPED_KEY_FILE` if the key file cannot be opened, `SPIPED_DAEMON` for anything else.
 */
export async function startDaemon(keyFile: string | undefined): Promise<number> {
  checkDaemonCanStart();
  let daemon: ChildProcess | undefined;
  let stoppedBy: string | undefined;
  const stopped = new Promise<never>((_resolve, reject) => {
    // With nohup, closing the terminal must not stop the first process either.
    const stopSignals = ["SIGINT", "SIGTERM", ...(isHangUpIgnored() ? [] : (["SIGHUP"] as const))] as const;
    for (const signal of stopSignals) {
      takeSignal(signal, () => {
        stoppedBy ??= signal;
        reject(cannotStart(stoppedTooSoon(stoppedBy)));
        // SIGTERM lets it remove the files that it has made; one that hangs is killed.
        daemon?.kill("SIGTERM");
        setTimeout(() => daemon?.kill("SIGKILL"), EXIT_LIMIT_MS).unref();
      });
    }
  });
  stopped.catch(() => undefined);
  const key =
    keyFile === undefined || keyFile === "-"
      ? undefined
      : await Promise.race([openKeyFile(keyFile, { instead: KEY_INSTEAD }), stopped]);
  const [program, script, ...args] = [process.execPath, process.argv[1] ?? "", ...process.argv.slice(2)];
  const handed = forDaemon(takeFromServiceManager(), FIRST_HANDED_DESCRIPTOR);
  const second = spawn(program, [...process.execArgv, script, ...args], {
    argv0: process.argv0,
    detached: true,
    env: { ...process.env, ...variablesForDaemon(), ...handed.variables, [REPORT_VARIABLE]: String(process.pid) },
    stdio: [
      keyFile === "-" ? "inherit" : "ignore",
      "inherit",
      "inherit",
      "pipe",
      key ?? "ignore",
      ...handed.descriptors,
    ],
  });
  daemon = second;
  if (key !== undefined) closeSync(key);
  const failed = new Promise<never>((_resolve, reject) => second.once("error", reject));
  const ended = new Promise<{ readonly status: number | null; readonly signal: string | null }>((resolve) => {
    second.once("exit", (status, signal) => resolve({ status, signal }));
  });
  try {
    // If it could not be started, it has no streams, and the error event is still to come.
    if (second.pid === undefined) await failed;
    const reported = await Promise.race([failed, report(second.stdio[REPORT_DESCRIPTOR])]);
    if (reported === READY && stoppedBy === undefined) return 0;
    const { status, signal } = await ended;
    if (stoppedBy !== undefined) throw stoppedTooSoon(stoppedBy);
    // It has reported any other reason itself.
    if (status === 0) throw new Error("it was stopped before it was ready");
    if (signal !== null) throw new Error(`it was killed by ${signal} before it was ready`);
    return 1;
  } catch (cause) {
    throw isLimit(cause) ? cause : cannotStart(cause);
  } finally {
    second.unref();
  }
}

function stoppedTooSoon(signal: string): Error {
  return new Error(`${signal} came before it was ready`);
}

function cannotStart(cause: unknown): SpipedError {
  return new SpipedError("SPIPED_DAEMON", `cannot start the daemon: ${systemReason(cause)}`, {
    cause,
    hint: "stay in the foreground with -F, and let a service manager run it",
  });
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
