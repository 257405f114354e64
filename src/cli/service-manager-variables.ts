/**
 * The environment variables of a service manager: where to report readiness, and which sockets it hands over. They are
 * meant for this process only, so they are removed from the environment. The daemon's second process gets them in an
 * internal variable: it uses descriptors 3 and 4 itself, so the sockets have other numbers there.
 */

import { FIRST_DESCRIPTOR, type Handed, type Passed, readHanded, socketsAmong } from "../net/inherited-sockets.js";
import { internalValue, isRecord, isTextOrNothing } from "./internal-environment.js";

/** The values of the variables. */
export interface FromServiceManager {
  /** `NOTIFY_SOCKET`. */
  readonly notifySocket: string | undefined;
  readonly handed: Handed;
}

const INTERNAL = "SPIPED_INTERNAL_SERVICE";
const VARIABLES = ["NOTIFY_SOCKET", "LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES", "LISTEN_PIDFDID", INTERNAL] as const;

let taken: FromServiceManager | undefined;

/**
 * Reads the variables and removes them. Later calls return the same.
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
 * @throws SpipedError `SPIPED_USAGE` if the internal variable has a foreign value.
 */
export function read(environment: Readonly<Record<string, string | undefined>>, processId: number): FromServiceManager {
  const text = environment[INTERNAL];
  if (text !== undefined) return internalValue(INTERNAL, text, isFromServiceManager);
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

/** The variables and descriptors for the daemon's second process. */
export interface ForDaemon {
  readonly variables: Readonly<Record<string, string>>;
  /** Descriptors of this process to pass on, in order; "ignore" for those that are not sockets. */
  readonly descriptors: readonly (number | "ignore")[];
}

/** @param first - The number of the first of these descriptors in the second process. */
export function forDaemon(from: FromServiceManager, first: number): ForDaemon {
  const passed: Passed = readHanded(from.handed);
  const sockets = socketsAmong(passed);
  const numbers = passed.kind === "nothing" ? [] : passed.names.map((_name, index) => passed.first + index);
  return {
    variables: { [INTERNAL]: JSON.stringify({ ...from, handed: { ...from.handed, first } }) },
    descriptors: numbers.map((number) => (sockets.includes(number) ? number : "ignore")),
  };
}
