/**
 * Sockets that listen already and are handed to this process by a service manager: `-s systemd:NAME`.
 *
 * The variables say how many there are (`LISTEN_FDS`), what they are called (`LISTEN_FDNAMES`) and for whom they are
 * (`LISTEN_PID`). Somebody else may have set them, so nothing is believed before the descriptor was looked at.
 *
 * The descriptors stay open until `close`, so that a tunnel that is started anew finds its socket again.
 *
 * Source: sd_listen_fds(3).
 */

import { closeSync } from "node:fs";
import { SpipedError } from "../errors.js";
import { addon } from "../native/native.js";
import { textOfBytes } from "../paths.js";
import { formatAddress, type ManagedAddress, type SocketAddress } from "./address.js";

/** The variables, and whose they are. */
export interface Handed {
  readonly listenPid: string | undefined;
  readonly listenFds: string | undefined;
  readonly listenFdnames: string | undefined;
  /** The process that `LISTEN_PID` has to name. */
  readonly processId: number;
  /** The number of the first descriptor. */
  readonly first: number;
}

/** The first descriptor, unless it had to be moved. */
export const FIRST_DESCRIPTOR = 3;

/** No unit has more. */
const MOST_SOCKETS = 1_024;

/** What sd_listen_fds_with_names(3) calls sockets without a name. */
const NAMELESS = "unknown";

/** What was handed over, by the words of the variables. */
export type Passed =
  | { readonly kind: "sockets"; readonly first: number; readonly names: readonly string[] }
  /** Nothing, or nothing that makes sense. */
  | { readonly kind: "nothing"; readonly why: string; readonly hint: string };

const START_HINT = "start it by a .socket unit of systemd's";

/** Reads the variables. */
export function readHanded({ listenPid, listenFds, listenFdnames, processId, first }: Handed): Passed {
  if (listenFds === undefined || listenPid === undefined) return nothing("no sockets were handed over");
  if (!/^[0-9]{1,10}$/.test(listenPid)) return nothing(`LISTEN_PID is no number: ${JSON.stringify(listenPid)}`);
  if (Number(listenPid) !== processId) {
    const why = `the sockets are for process ${listenPid}, and this is ${processId}`;
    return nothing(why, "no wrapper may stand in between, npx for one; in a script, use exec");
  }
  const count = /^[0-9]{1,10}$/.test(listenFds) ? Number(listenFds) : Number.NaN;
  if (!(count <= MOST_SOCKETS)) return nothing(`LISTEN_FDS is no number of sockets: ${JSON.stringify(listenFds)}`);
  if (count === 0) return nothing("no sockets were handed over");
  const names = listenFdnames?.split(":") ?? new Array<string>(count).fill(NAMELESS);
  if (names.length !== count) return nothing(`LISTEN_FDNAMES has ${names.length} names for ${count} sockets`);
  return { kind: "sockets", first, names };
}

function nothing(why: string, hint: string = START_HINT): Passed {
  return { kind: "nothing", why, hint };
}

/** A socket that was handed over, for one tunnel at a time. */
export interface InheritedSocket {
  /** The taker's. */
  readonly descriptor: number;
  readonly address: SocketAddress;
  /** Lets others take it. */
  release(): void;
}

const WORDS = {
  closed: "is closed",
  "no socket": "is no socket",
  "no stream": "takes no connections: it must be a stream (ListenStream=)",
  "not listening": "does not listen; Accept=yes is for programs that are started for each connection",
  "unknown family": "is neither of TCP nor of UNIX",
} as const;

/**
 * The sockets that a service manager has passed. Make it before this process opens sockets of its own. Each is given to
 * one tunnel at a time; the originals stay open until `close`.
 */
export class InheritedSockets {
  readonly #passed: Passed;
  /** Looked for at once: later, a number may be that of a socket of our own. */
  readonly #sockets: readonly number[];
  readonly #taken = new Set<number>();
  #closed = false;

  /** To be made before this process opens sockets of its own. */
  constructor(passed: Passed) {
    this.#passed = passed;
    this.#sockets = socketsAmong(passed);
  }

  /**
   * Takes a socket, by its name or that with `.socket` behind it.
   *
   * @throws SpipedError `SPIPED_LISTEN`.
   */
  take(source: ManagedAddress): InheritedSocket {
    if (this.#closed) throw cannot(source, "the sockets are the service manager's again");
    const descriptor = this.#find(source);
    if (!this.#sockets.includes(descriptor)) throw cannot(source, `descriptor ${descriptor} is closed or no socket`);
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

  /** Whether two names stand for one socket. */
  areSame(one: ManagedAddress, other: ManagedAddress): boolean {
    if (one.name === other.name) return true;
    try {
      return this.#find(one) === this.#find(other);
    } catch {
      return false;
    }
  }

  /** Leaves them to the service manager. */
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
    if (index === undefined) throw cannot(source, `no socket has this name; there are ${there}`, NAME_HINT);
    if (others.length > 0) {
      const why = name === "" ? `there are ${found.length}: ${there}` : `${found.length} sockets have this name`;
      throw cannot(source, why, NAME_HINT);
    }
    return passed.first + index;
  }
}

const NAME_HINT = "names come from FileDescriptorName= of the .socket units, or else are those of the units";

/** The descriptors that are sockets of any kind. Whatever they are: no program that this one starts gets them. */
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
  // As systemd writes abstract names.
  if (path) return { address: { kind: "unix", path: textOfBytes(path).replace(/^\0/, "@") } };
  return { why: WORDS[state as keyof typeof WORDS] };
}

function cannot(source: ManagedAddress, why: string, hint?: string): SpipedError {
  const message = `cannot listen on ${formatAddress(source)}: ${why}`;
  return new SpipedError("SPIPED_LISTEN", message, hint === undefined ? {} : { hint });
}
