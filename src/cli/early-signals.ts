/**
 * Catches signals from the start of the process. The commands load this module, which imports nothing, before anything
 * else. Signals that come before their handler is set are kept for it.
 *
 * SIGUSR1 and SIGUSR2 are included: without a listener, Node.js opens its debugger to everybody on the machine on the
 * first, and the second kills the process.
 */

/** The signals that are caught. */
export type HeardSignal = (typeof HEARD)[number];

/** Handles a signal; called each time that it comes. */
export type SignalTaker = (signal: HeardSignal) => void;

const HEARD = ["SIGTERM", "SIGINT", "SIGHUP", "SIGUSR1", "SIGUSR2"] as const;

/** How often, and for how long, to look for a debugger that a thread of Node.js opens late. */
const LOOK_MS = 50;
const LOOK_FOR_MS = 10_000;

/** What Node.js has but does not document. */
interface NodeInternals {
  readonly _debugEnd?: () => void;
}

const takers = new Map<string, SignalTaker>();
const untaken: HeardSignal[] = [];
let hangUpIgnored = false;

/** Catches signals from now on. */
export function hearSignals(): void {
  for (const signal of HEARD) process.on(signal, hear);
  void closeDebugger();
  const looks = setInterval(closeIfOpen, LOOK_MS).unref();
  setTimeout(() => clearInterval(looks), LOOK_FOR_MS).unref();
  hangUpIgnored = readHangUpIgnored();
}

/** Sets the handler of a signal, and calls it for those that came before. */
export function takeSignal(signal: HeardSignal, taker: SignalTaker): void {
  // Removing a listener would lose a signal that is just being delivered.
  if (!process.listeners(signal).includes(hear)) process.on(signal, hear);
  takers.set(signal, taker);
  for (const one of removeUntaken(signal)) taker(one);
}

/** Gives a signal its default effect: to kill the process. */
export function leaveSignal(signal: HeardSignal): void {
  takeSignal(signal, () => {
    process.off(signal, hear);
    process.kill(process.pid, signal);
  });
}

/**
 * Whether SIGHUP was ignored when the process started, as under `nohup` or `trap '' HUP`.
 *
 * Node.js resets that before any of this runs, so it is inferred from the parent process: it ignores the signal itself
 * (Linux), or it was `nohup`, which bash and others leave in `_`.
 */
export function isHangUpIgnored(): boolean {
  return hangUpIgnored;
}

/**
 * Closes Node.js's debugger if a signal has opened it while Node.js was starting, and the operator has not asked for it.
 * One signal opens it twice: at once, and again when the event loop first polls. The promise resolves after that.
 */
export async function closeDebugger(): Promise<void> {
  closeIfOpen();
  await new Promise((resolve) => setImmediate(resolve));
  closeIfOpen();
}

function closeIfOpen(): void {
  const options = [...process.execArgv, process.env["NODE_OPTIONS"] ?? ""].join(" ");
  if (/--inspect(-brk|-wait)?(?![\w-])/.test(options)) return;
  try {
    // This is close() of node:inspector, and does nothing if no debugger is open. Loading that module would load worker
    // threads too, which takes a tenth of the startup time.
    const { _debugEnd: close = process.getBuiltinModule("node:inspector").close } = process as NodeInternals;
    close();
  } catch {
    // This Node.js has no debugger.
  }
}

function hear(signal: NodeJS.Signals): void {
  const heard = HEARD.find((one) => one === signal);
  if (heard === undefined) return;
  const taker = takers.get(signal);
  if (taker === undefined) untaken.push(heard);
  else taker(heard);
}

function removeUntaken(signal: HeardSignal): readonly HeardSignal[] {
  const found = untaken.filter((one) => one === signal);
  const others = untaken.filter((one) => one !== signal);
  untaken.splice(0, untaken.length, ...others);
  return found;
}

function readHangUpIgnored(): boolean {
  if (/(^|\/)nohup$/.test(process.env["_"] ?? "")) return true;
  if (process.platform !== "linux") return false;
  return ["self", String(process.ppid)].some((id) => {
    try {
      const status = process.getBuiltinModule("node:fs").readFileSync(`/proc/${id}/status`, "latin1");
      const ignored = /^SigIgn:\s*[0-9a-f]*([0-9a-f])$/m.exec(status)?.[1] ?? "0";
      // SIGHUP is signal 1, the lowest bit.
      return Number.parseInt(ignored, 16) % 2 === 1;
    } catch {
      return false;
    }
  });
}
