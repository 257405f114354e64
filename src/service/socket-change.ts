/**
 * Changes the listening sockets on a reload, all or nothing: every new socket listens before an old one is closed.
 *
 * A socket whose address is still used is handed over, even to a tunnel with another name. Only an old socket that conflicts
 * with a new one (the system cannot have both) is closed first; if the new ones cannot listen, it listens again.
 */

import { codeOf, SpipedError } from "../errors.js";
import type { ManagedAddress, SocketAddress } from "../net/address.js";
import type { InheritedSockets } from "../net/inherited-sockets.js";
import type { ListeningSocket } from "../net/listening-socket.js";
import { conflictsWith, realPath } from "../net/same-address.js";
import type { ServedTunnel } from "./served-tunnel.js";

/** A tunnel that could not listen, and why. */
export interface ListenFailure {
  readonly tunnel: ServedTunnel;
  readonly error: unknown;
}

/** The tunnels before and after the reload. */
export interface SocketUsers {
  /** New tunnels; their addresses have been resolved. */
  readonly starting: readonly ServedTunnel[];
  /** Listening tunnels that the reload ends. */
  readonly ending: readonly ServedTunnel[];
  /** Listening tunnels that are unchanged. */
  readonly staying: readonly ServedTunnel[];
  readonly inherited: InheritedSockets;
}

/** One change of the listening sockets. */
export class SocketChange {
  readonly #users: SocketUsers;
  /** New tunnels, each with the old tunnel whose socket it takes over. */
  readonly #heirs = new Map<ServedTunnel, ServedTunnel>();
  readonly #opened = new Map<ServedTunnel, ListeningSocket>();

  constructor(users: SocketUsers) {
    this.#users = users;
    // First by name: with port 0, every tunnel has its own port, which should stay with its name.
    this.#findHeirs((one, old) => one.config.name === old.config.name);
    this.#findHeirs(() => true);
  }

  #findHeirs(isMeant: (one: ServedTunnel, old: ServedTunnel) => boolean): void {
    const { starting, ending, inherited } = this.#users;
    for (const one of starting) {
      const taken = [...this.#heirs.values()];
      const from = ending.find(
        (old) =>
          isMeant(one, old) && !taken.includes(old) && isSameAddress(one, old, inherited) && canKeepSocket(one, old),
      );
      if (from !== undefined && !this.#heirs.has(one)) this.#heirs.set(one, from);
    }
  }

  /** Opens all new sockets. @returns Failures, if any; then everything is as it was before. */
  listen(): readonly ListenFailure[] {
    const { starting, ending } = this.#users;
    const taken = [...this.#heirs.values()];
    const free = ending.filter((old) => !taken.includes(old));
    const wanting = starting.filter((one) => !this.#heirs.has(one));
    const inTheWay = free.filter((old) => wanting.some((one) => this.#overlaps(one, old)));
    const isBlocked = (one: ServedTunnel) => inTheWay.some((old) => this.#overlaps(one, old));
    const failures = wanting.filter((one) => !isBlocked(one)).flatMap((one) => this.#open(one));
    if (failures.length === 0) {
      for (const old of inTheWay) old.tunnel?.unbind();
      failures.push(...wanting.filter(isBlocked).flatMap((one) => this.#open(one)));
    }
    if (failures.length === 0) return [];
    for (const socket of this.#opened.values()) socket.close();
    for (const old of inTheWay) old.tunnel?.listenAgain();
    return failures;
  }

  #open(one: ServedTunnel): readonly ListenFailure[] {
    try {
      this.#opened.set(one, one.openSocket(this.#users.inherited));
      return [];
    } catch (error) {
      return [{ tunnel: one, error: this.#withHint(one, error) }];
    }
  }

  /** Transfers a new tunnel's socket to it. Call it after `listen` succeeded. */
  take(one: ServedTunnel): ListeningSocket | undefined {
    return this.#opened.get(one) ?? this.#heirs.get(one)?.release();
  }

  #overlaps(one: ServedTunnel, old: ServedTunnel): boolean {
    return isSameAddress(one, old, this.#users.inherited) || conflict(one, old);
  }

  /** If another tunnel of this process has the address, says so; the usual hint is to stop another program. */
  #withHint(one: ServedTunnel, error: unknown): unknown {
    if (!(error instanceof SpipedError) || codeOf(error.cause) !== "EADDRINUSE") return error;
    const { starting, staying, ending } = this.#users;
    const others = [...staying, ...ending, ...starting.filter((other) => this.#opened.has(other))];
    const other = others.find((each) => this.#overlaps(one, each));
    if (other === undefined) return error;
    const hint = `tunnel ${other.config.name} of this process listens there; give each tunnel a source of its own`;
    return new SpipedError(error.code, error.message, { cause: error.cause, hint });
  }
}

function isSameAddress(one: ServedTunnel, other: ServedTunnel, inherited: InheritedSockets): boolean {
  const isOneName = one.config.name === other.config.name;
  return one.sources.some((left) => other.sources.some((right) => areSame(left, right, isOneName, inherited)));
}

type Source = SocketAddress | ManagedAddress;

function areSame(one: Source, other: Source, isOneName: boolean, inherited: InheritedSockets): boolean {
  if (one.kind === "tcp" && other.kind === "tcp") {
    return one.address === other.address && one.port === other.port && (one.port !== 0 || isOneName);
  }
  if (one.kind === "unix" && other.kind === "unix") return realPath(one.path) === realPath(other.path);
  return one.kind === "systemd" && other.kind === "systemd" && inherited.areSame(one, other);
}

/** Whether the file of a UNIX socket can be kept: its permissions are the same. */
function canKeepSocket(one: ServedTunnel, old: ServedTunnel): boolean {
  return one.sources[0]?.kind !== "unix" || one.config.sourceMode === old.config.sourceMode;
}

/** Whether the system refuses both: a wildcard address conflicts with every address on the same port. */
function conflict({ sources: [source] }: ServedTunnel, { sources }: ServedTunnel): boolean {
  if (source === undefined || source.kind === "systemd") return false;
  return sources.some((other) => other.kind !== "systemd" && conflictsWith(source, other));
}
