/**
 * Listening sockets that a service manager has passed to this process: `systemd:NAME`.
 *
 * Environment variables give their number (`LISTEN_FDS`), their names (`LISTEN_FDNAMES`) and the process that they are
 * meant for (`LISTEN_PID`). The variables may be stale or forged, so every descriptor is checked before use.
 *
 * The descriptors stay open until `close`, so that a tunnel that is restarted can take its socket again.
 *
 * Source: sd_listen_fds(3).
 */

import { closeSync } from "node:fs";
import { SpipedError } from "../errors.js";
import { addon } from "../native/native.js";
import { textOfBytes } from "../paths.js";
import { formatAddress, type ManagedAddress, type SocketAddress } from "./address.js";

/** The environment variables, and the values to check them against. */
export interface Handed {
  readonly listenPid: string | undefined;
  readonly listenFds: string | undefined;
  readonly listenFdnames: string | undefined;
  /** The process that `LISTEN_PID` must name. */
  readonly processId: number;
  /** The first descriptor. */
  readonly first: number;
}

/** The first descriptor, unless it had to be moved. */
export const FIRST_DESCRIPTOR = 3;

/** A sanity limit; no unit has more. */
const MOST_SOCKETS = 1_024;

/** The name that sd_listen_fds_with_names(3) gives to sockets without a name. */
const NAMELESS = "unknown";

/** The sockets that were passed, according to the environment variables. */
export type Passed =
  | { readonly kind: "sockets"; readonly first: number; readonly names: readonly string[] }
  /** None, or the variables are invalid. */
  | { readonly kind: "nothing"; readonly why: string; readonly hint: string };

const START_HINT = "start it through a systemd .socket unit";

/** Parses the environment variables. */
export function readHanded({ listenPid, listenFds, listenFdnames, processId, first }: Handed): Passed {
  if (listenFds === undefined || listenPid === undefined) return nothing("no sockets were handed over");
  if (!/^[0-9]{1,10}$/.test(listenPid)) return nothing(`LISTEN_PID is not a number: ${JSON.stringify(listenPid)}`);
  if (Number(listenPid) !== processId) {
    const why = `the sockets are for process ${listenPid}, but this is process ${processId}`;
    return nothing(why, "start it without a wrapper such as npx; in a script, use exec");
  }
  const count = /^[0-9]{1,10}$/.test(listenFds) ? Number(listenFds) : Number.NaN;
  if (!(count <= MOST_SOCKETS)) return nothing(`LISTEN_FDS is not a number of sockets: ${JSON.stringify(listenFds)}`);
  if (count === 0) return nothing("no sockets were handed over");
  const names = listenFdnames?.split(":") ?? new Array<string>(count).fill(NAMELESS);
  if (names.length !== count) return nothing(`LISTEN_FDNAMES has ${names.length} names for ${count} sockets`);
  return { kind: "sockets", first, names };
}

function nothing(why: string, hint: string = START_HINT): Passed {
  return { kind: "nothing", why, hint };
}

/** A passed socket, used by one tunnel at a time. */
export interface InheritedSocket {
  /** A duplicate; the tunnel owns it. */
  readonly descriptor: number;
  readonly address: SocketAddress;
  /** Makes the socket available to other tunnels. */
  release(): void;
}

const STATE_MESSAGES = {
  closed: "is closed",
  "no socket": "is not a socket",
  "no stream": "does not accept connections: it must be a stream socket (ListenStream=)",
  "not listening": "is not listening; Accept=yes only works for programs that are started for each connection",
  "unknown family": "is neither a TCP nor a UNIX socket",
} as const;

/**
 * The sockets that a service manager has passed. Each is used by one tunnel at a time. The original descriptors stay open
 * until `close`.
 */
export class InheritedSockets {
  readonly #passed: Passed;
  /** Determined in the constructor: later, a number may refer to a socket that this process opened. */
  readonly #sockets: readonly number[];
  readonly #taken = new Set<number>();
  #closed = false;

  /** Must be called before this process opens any sockets. */
  constructor(passed: Passed) {
    this.#passed = passed;
    this.#sockets = socketsAmong(passed);
  }

  /**
   * Takes a socket by its name, with or without `.socket`.
   *
   * @throws SpipedError `SPIPED_LISTEN`.
   */
  take(source: ManagedAddress): InheritedSocket {
    if (this.#closed) throw cannot(source, "the sockets have been returned to the service manager");
    const descriptor = this.#find(source);
    if (!this.#sockets.includes(descriptor)) throw cannot(source, `descriptor ${descriptor} is closed or not a socket`);
    const { address, why } = addressOf(descriptor);
    if (address === undefined) throw cannot(source, `descriptor ${descriptor} ${why}`);
    if (this.#taken.has(descriptor)) throw cannot(source, "another tunnel listens on it");
    const copy = addon.duplicate(descriptor);
    this.#taken.add(descriptor);
    return {
      descriptor: copy,
      address,
      release: () => this.#taken.delete(descriptor),
    };
  }

  /** Whether two names refer to the same socket. */
  areSame(one: ManagedAddress, other: ManagedAddress): boolean {
    if (one.name === other.name) return true;
    try {
      return this.#find(one) === this.#find(other);
    } catch {
      return false;
    }
  }

  /** Closes the original descriptors; the sockets still belong to the service manager. */
  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    for (const descriptor of this.#sockets) closeSync(descriptor);
  }

  #find(source: ManagedAddress): number {
    const passed = this.#passed;
    if (passed.kind === "nothing") throw cannot(source, passed.why, passed.hint);
    const { name } = source;
    const named = (wanted: string) => [...passed.names.keys()].filter((index) => passed.names[index] === wanted);
    const exact = name === "" ? [...passed.names.keys()] : named(name);
    const found = exact.length > 0 ? exact : named(`${name}.socket`);
    const [index, ...others] = found;
    const there = [...new Set(passed.names)].map((one) => JSON.stringify(one)).join(", ");
    if (index === undefined) throw cannot(source, `no socket has this name; the names are ${there}`, NAME_HINT);
    if (others.length > 0) {
      const why = name === "" ? `there are ${found.length}: ${there}` : `${found.length} sockets have this name`;
      throw cannot(source, why, NAME_HINT);
    }
    return passed.first + index;
  }
}

const NAME_HINT = "a socket's name is FileDescriptorName= in its .socket unit, by default the name of the unit";

/** The passed descriptors that are sockets of any kind. Also marks all of them close-on-exec. */
export function socketsAmong(passed: Passed): readonly number[] {
  if (passed.kind === "nothing" || !("inheritedSocket" in addon)) return [];
  const all = passed.names.map((_name, index) => passed.first + index);
  return all.filter((descriptor) => {
    const { state } = addon.inheritedSocket(descriptor);
    return state !== "closed" && state !== "no socket";
  });
}

function addressOf(descriptor: number): { readonly address?: SocketAddress; readonly why?: string } {
  const { state, tcp, path } = addon.inheritedSocket(descriptor);
  if (tcp) {
    return { address: { kind: "tcp", family: tcp.family === 6 ? 6 : 4, address: tcp.address, port: tcp.port } };
  }
  // systemd's notation of abstract sockets.
  if (path) return { address: { kind: "unix", path: textOfBytes(path).replace(/^\0/, "@") } };
  return { why: STATE_MESSAGES[state as keyof typeof STATE_MESSAGES] };
}

function cannot(source: ManagedAddress, why: string, hint?: string): SpipedError {
  const message = `cannot listen on ${formatAddress(source)}: ${why}`;
  return new SpipedError("SPIPED_LISTEN", message, hint === undefined ? {} : { hint });
}
