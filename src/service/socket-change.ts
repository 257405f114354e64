/**
 * The listening sockets of a reload: every new one listens before any old one is let go, or nothing changes.
 *
 * A socket whose place stays is handed on, whatever it is called now. Only one that is in the way of a new one, since the
 * system has no room for both, is let go before; where the new ones cannot be had, it listens again.
 */

import { codeOf, SpipedError } from "../errors.js";
import type { ManagedAddress, SocketAddress } from "../net/address.js";
import type { InheritedSockets } from "../net/inherited-sockets.js";
import type { ListeningSocket } from "../net/listening-socket.js";
import { excludeEachOther, realPath } from "../net/same-address.js";
import type { ServedTunnel } from "./served-tunnel.js";

/** Who could not listen, and why. */
export interface ListenFailure {
  readonly tunnel: ServedTunnel;
  readonly error: unknown;
}

/** Whose sockets they are. */
export interface SocketUsers {
  /** Those that are to listen; their addresses have been looked up. */
  readonly starting: readonly ServedTunnel[];
  /** Those that listen, and are to end. */
  readonly ending: readonly ServedTunnel[];
  /** Those that listen, and go on. */
  readonly staying: readonly ServedTunnel[];
  readonly inherited: InheritedSockets;
}

/** See the head of this file. */
export class SocketChange {
  readonly #users: SocketUsers;
  /** By who gets it: who has it. */
  readonly #heirs = new Map<ServedTunnel, ServedTunnel>();
  readonly #made = new Map<ServedTunnel, ListeningSocket>();

  constructor(users: SocketUsers) {
    this.#users = users;
    // Port 0 is another one for everybody, and who keeps its name keeps its socket.
    this.#findHeirs((one, old) => one.config.name === old.config.name);
    this.#findHeirs(() => true);
  }

  #findHeirs(isMeant: (one: ServedTunnel, old: ServedTunnel) => boolean): void {
    const { starting, ending, inherited } = this.#users;
    for (const one of starting) {
      const taken = [...this.#heirs.values()];
      const from = ending.find(
        (old) => isMeant(one, old) && !taken.includes(old) && isSamePlace(one, old, inherited) && isSameFile(one, old),
      );
      if (from !== undefined && !this.#heirs.has(one)) this.#heirs.set(one, from);
    }
  }

  /** Listens for all, at once. @returns Why not, one or more; then everything is as it was. */
  listen(): readonly ListenFailure[] {
    const { starting, ending } = this.#users;
    const taken = [...this.#heirs.values()];
    const free = ending.filter((old) => !taken.includes(old));
    const wanting = starting.filter((one) => !this.#heirs.has(one));
    const inTheWay = free.filter((old) => wanting.some((one) => this.#overlaps(one, old)));
    const isBlocked = (one: ServedTunnel) => inTheWay.some((old) => this.#overlaps(one, old));
    const failures = wanting.filter((one) => !isBlocked(one)).flatMap((one) => this.#open(one));
    if (failures.length === 0) {
      for (const old of inTheWay) old.tunnel?.letGo();
      failures.push(...wanting.filter(isBlocked).flatMap((one) => this.#open(one)));
    }
    if (failures.length === 0) return [];
    for (const socket of this.#made.values()) socket.close();
    for (const old of inTheWay) old.tunnel?.listenAgain();
    return failures;
  }

  #open(one: ServedTunnel): readonly ListenFailure[] {
    try {
      this.#made.set(one, one.openSocket(this.#users.inherited));
      return [];
    } catch (error) {
      return [{ tunnel: one, error: this.#explained(one, error) }];
    }
  }

  /** The socket of one that starts, which is its own from now on. To be called when all listen. */
  take(one: ServedTunnel): ListeningSocket | undefined {
    return this.#made.get(one) ?? this.#heirs.get(one)?.release();
  }

  #overlaps(one: ServedTunnel, old: ServedTunnel): boolean {
    return isSamePlace(one, old, this.#users.inherited) || areOnOnePort(one, old);
  }

  /** Whoever is told to stop another program must not look for it in vain. */
  #explained(one: ServedTunnel, error: unknown): unknown {
    if (!(error instanceof SpipedError) || codeOf(error.cause) !== "EADDRINUSE") return error;
    const { starting, staying, ending } = this.#users;
    const others = [...staying, ...ending, ...starting.filter((other) => this.#made.has(other))];
    const other = others.find((each) => this.#overlaps(one, each));
    if (other === undefined) return error;
    const hint = `${other.label} of this process listens there; give each tunnel a source of its own`;
    return new SpipedError(error.code, error.message, { cause: error.cause, hint });
  }
}

function isSamePlace(one: ServedTunnel, other: ServedTunnel, inherited: InheritedSockets): boolean {
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

/** Whether the file of a UNIX socket can stay as it is. */
function isSameFile(one: ServedTunnel, old: ServedTunnel): boolean {
  return one.sources[0]?.kind !== "unix" || one.config.sourceMode === old.config.sourceMode;
}

/** The system lets nobody listen on one address of a port and on all of them. */
function areOnOnePort({ sources: [source] }: ServedTunnel, { sources }: ServedTunnel): boolean {
  if (source === undefined || source.kind === "systemd") return false;
  return sources.some((other) => other.kind !== "systemd" && excludeEachOther(source, other));
}
