/**
 * What a service manager says by variables: where it wants to be told how things go, and which sockets it hands over. They
 * are for this process alone, so they are taken out of the environment. The daemon's second process gets them by another
 * way: descriptors 3 and 4 are its own there, so the sockets come behind them.
 */

import { FIRST_DESCRIPTOR, type Handed, type Passed, readHanded, socketsAmong } from "../net/inherited-sockets.js";
import { isRecord, isTextOrNothing, ownValue } from "./own-variables.js";

/** See the head of this file. */
export interface FromServiceManager {
  /** `NOTIFY_SOCKET`. */
  readonly notifySocket: string | undefined;
  readonly handed: Handed;
}

const INTERNAL = "SPIPED_INTERNAL_SERVICE";
const VARIABLES = ["NOTIFY_SOCKET", "LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES", "LISTEN_PIDFDID", INTERNAL] as const;

let taken: FromServiceManager | undefined;

/**
 * Takes the variables, once.
 *
 * @throws SpipedError as {@link read} does.
 */
export function takeFromServiceManager(): FromServiceManager {
  taken ??= read(process.env, process.pid);
  for (const name of VARIABLES) delete process.env[name];
  return taken;
}

/**
 * Reads the variables of a process.
 *
 * @throws SpipedError `SPIPED_USAGE` where somebody else has set a variable of ours.
 */
export function read(environment: Readonly<Record<string, string | undefined>>, processId: number): FromServiceManager {
  const text = environment[INTERNAL];
  if (text !== undefined) return ownValue(INTERNAL, text, isFromServiceManager);
  return {
    notifySocket: environment["NOTIFY_SOCKET"],
    handed: {
      listenPid: environment["LISTEN_PID"],
      listenFds: environment["LISTEN_FDS"],
      listenFdnames: environment["LISTEN_FDNAMES"],
      processId,
      first: FIRST_DESCRIPTOR,
    },
  };
}

function isFromServiceManager(value: unknown): value is FromServiceManager {
  if (!isRecord(value) || !isRecord(value["handed"]) || !isTextOrNothing(value["notifySocket"])) return false;
  const { listenPid, listenFds, listenFdnames, processId, first } = value["handed"];
  return [listenPid, listenFds, listenFdnames].every(isTextOrNothing) && [processId, first].every(isWholeNumber);
}

function isWholeNumber(value: unknown): value is number {
  return typeof value === "number" && Number.isInteger(value) && value > 0 && value < 2 ** 31;
}

/** What the daemon's second process is given of it. */
export interface ForDaemon {
  readonly variables: Readonly<Record<string, string>>;
  /** From which on what number: descriptors of this process, or nothing in the place of what is no socket. */
  readonly descriptors: readonly (number | "ignore")[];
}

/** @param first - The number from which on it finds the descriptors. */
export function forDaemon(from: FromServiceManager, first: number): ForDaemon {
  const passed: Passed = readHanded(from.handed);
  const sockets = socketsAmong(passed);
  const numbers = passed.kind === "nothing" ? [] : passed.names.map((_name, index) => passed.first + index);
  return {
    variables: { [INTERNAL]: JSON.stringify({ ...from, handed: { ...from.handed, first } }) },
    descriptors: numbers.map((number) => (sockets.includes(number) ? number : "ignore")),
  };
}
