/**
 * Signals from the first moment on: the commands load this module, which imports nothing, before anything else, and have
 * it listen before they load the rest. A signal that comes before its taker is there is kept for it.
 *
 * SIGUSR1 and SIGUSR2 are among them: Node.js answers the first one by opening its debugger to everybody on the machine,
 * unless somebody listens, and the second one ends a process.
 */

/** The signals that are listened to. */
export type HeardSignal = (typeof HEARD)[number];

/** Takes a signal, once for each time that it comes. */
export type SignalTaker = (signal: HeardSignal) => void;

const HEARD = ["SIGTERM", "SIGINT", "SIGHUP", "SIGUSR1", "SIGUSR2"] as const;

/** So often, and for so long, is looked for a debugger that is late: a thread of Node.js's opens it, whenever that runs. */
const LOOK_MS = 50;
const LOOK_FOR_MS = 10_000;

/** What Node.js has and does not document. */
interface NodeInternals {
  readonly _debugEnd?: () => void;
}

const takers = new Map<string, SignalTaker>();
const untaken: HeardSignal[] = [];
let hangUpIgnored = false;

/** Listens from now on. */
export function hearSignals(): void {
  for (const signal of HEARD) process.on(signal, hear);
  void closeDebugger();
  const looks = setInterval(closeIfOpen, LOOK_MS).unref();
  setTimeout(() => clearInterval(looks), LOOK_FOR_MS).unref();
  hangUpIgnored = readHangUpIgnored();
}

/** Hands a signal to `taker` from now on, and those that came before too. */
export function takeSignal(signal: HeardSignal, taker: SignalTaker): void {
  // Taking a listener away loses the signal that is just on its way to it.
  if (!process.listeners(signal).includes(hear)) process.on(signal, hear);
  takers.set(signal, taker);
  for (const one of removeUntaken(signal)) taker(one);
}

/** Lets the system do with a signal what it does where nobody listens: end the process. */
export function leaveSignal(signal: HeardSignal): void {
  takeSignal(signal, () => {
    process.off(signal, hear);
    process.kill(process.pid, signal);
  });
}

/**
 * Whether SIGHUP was ignored when the process started, as `nohup` and `trap '' HUP` have it for what they start.
 *
 * Node.js ends that before any of this runs, so it is guessed from whoever started the process: it ignores the signal
 * itself (Linux), or was `nohup`, which bash and others leave in `_`.
 */
export function isHangUpIgnored(): boolean {
  return hangUpIgnored;
}

/**
 * Closes Node.js's debugger where a signal has opened it during Node's own start, and the operator has not asked for it.
 * One signal opens it twice: at once, and once more when the event loop first looks for events. The promise resolves
 * after that.
 */
export async function closeDebugger(): Promise<void> {
  closeIfOpen();
  await new Promise((resolve) => setImmediate(resolve));
  closeIfOpen();
}

function closeIfOpen(): void {
  const words = [...process.execArgv, process.env["NODE_OPTIONS"] ?? ""].join(" ");
  if (/--inspect(-brk|-wait)?(?![\w-])/.test(words)) return;
  try {
    // What node:inspector calls close(), and what it does where nothing is open is nothing: the module would bring worker
    // threads along, for a tenth of a start's time.
    const { _debugEnd: close = process.getBuiltinModule("node:inspector").close } = process as NodeInternals;
    close();
  } catch {
    // A Node.js without a debugger.
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
      // SIGHUP is the first signal.
      return Number.parseInt(ignored, 16) % 2 === 1;
    } catch {
      return false;
    }
  });
}
