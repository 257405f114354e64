/**
 * The daemon. Node cannot fork, so the daemon is a second process with the same words in a session of its own, and the
 * first one waits until it is told that the second one is ready.
 *
 *     first process                         second process
 *     parse, open the key, start the second → parse, look up, read the key, listen, pid file, -u
 *     exit 0 ←──────────── "ready" on a pipe ┘
 *     exit 1 ←── the pipe is closed without it; the reason is on standard error already
 *
 * The key is opened here because its path may mean nothing there: /dev/stdin and /dev/fd/63 are descriptors of this
 * process, and a pipe with a name has one reader.
 *
 * There is no daemon unless the first process could return 0: told to end, it takes the second one with it, and when
 * it is gone, the second one ends as soon as it wants to report.
 */

import { type ChildProcess, spawn } from "node:child_process";
import { closeSync, fstatSync, writeSync } from "node:fs";
import { openKeyFile } from "../config/key-file.js";
import { isLimit, messageOf, SpipedError } from "../errors.js";
import { isHangUpIgnored, takeSignal } from "./early-signals.js";
import { variablesForDaemon } from "./given.js";
import { requireDaemonMachine } from "./machine.js";
import { forDaemon, takeFromServiceManager } from "./service-variables.js";

/** What helps where a pipe or a descriptor gives no key. */
export const KEY_INSTEAD = "-k - reads the key from standard input";

/** Names the descriptor of the pipe to the second process. */
const REPORT_VARIABLE = "SPIPED_INTERNAL_REPORT";
const REPORT_DESCRIPTOR = 3;

/** Where the second process finds its key file open, unless the key comes from standard input by `-k -`. */
export const KEY_DESCRIPTOR = 4;

/** Where the second process finds the sockets of a service manager, from here on. */
const FIRST_HANDED_DESCRIPTOR = 5;
const READY = "ready";

/** So long may a daemon take to end that is told to before it is ready. */
const END_LIMIT_MS = 2_000;

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
 * @param keyFile - For the second process to read; `-` for standard input; undefined where it finds its keys itself.
 * @returns The first process's exit status.
 * @throws SpipedError `SPIPED_KEY_FILE` where the key file cannot be opened, `SPIPED_DAEMON` for anything else.
 */
export async function startDaemon(keyFile: string | undefined): Promise<number> {
  requireDaemonMachine();
  let daemon: ChildProcess | undefined;
  let toldBy: string | undefined;
  const told = new Promise<never>((_resolve, reject) => {
    // Nobody closes a terminal on a daemon: where SIGHUP was ignored, the first process is left alone too.
    const ending = ["SIGINT", "SIGTERM", ...(isHangUpIgnored() ? [] : (["SIGHUP"] as const))] as const;
    for (const signal of ending) {
      takeSignal(signal, () => {
        toldBy ??= signal;
        reject(cannotStart(cameTooSoon(toldBy)));
        // It removes what files it has made, the system ends one that does not listen yet, and nobody waits for one that
        // hangs.
        daemon?.kill("SIGTERM");
        setTimeout(() => daemon?.kill("SIGKILL"), END_LIMIT_MS).unref();
      });
    }
  });
  told.catch(() => undefined);
  const key =
    keyFile === undefined || keyFile === "-"
      ? undefined
      : await Promise.race([openKeyFile(keyFile, { instead: KEY_INSTEAD }), told]);
  const [program, script, ...words] = [process.execPath, process.argv[1] ?? "", ...process.argv.slice(2)];
  const handed = forDaemon(takeFromServiceManager(), FIRST_HANDED_DESCRIPTOR);
  const second = spawn(program, [...process.execArgv, script, ...words], {
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
    // Where it could not be started, it has no streams, and the reason is still to come.
    if (second.pid === undefined) await failed;
    const reported = await Promise.race([failed, report(second.stdio[REPORT_DESCRIPTOR])]);
    if (reported === READY && toldBy === undefined) return 0;
    const { status, signal } = await ended;
    if (toldBy !== undefined) throw cameTooSoon(toldBy);
    // It has told any other reason itself.
    if (status === 0) throw new Error("it was told to end before it was ready");
    if (signal !== null) throw new Error(`it was ended by ${signal} before it was ready`);
    return 1;
  } catch (cause) {
    throw isLimit(cause) ? cause : cannotStart(cause);
  } finally {
    second.unref();
  }
}

function cameTooSoon(signal: string): Error {
  return new Error(`${signal} came before it was ready`);
}

function cannotStart(cause: unknown): SpipedError {
  return new SpipedError("SPIPED_DAEMON", `cannot start the daemon: ${messageOf(cause)}`, {
    cause,
    hint: "stay in the foreground with -F, and let a service manager do the rest",
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
