/**
 * Sockets without a `net.Socket`: what is only accepted or dialled, shaken hands with, and handed over to the relay needs
 * no stream, no buffers and no events of Node's. The addon has their descriptors, and numbers stand for them; the event
 * loop watches one descriptor for all.
 *
 * Who is accepted, what is said and what is expected is decided here and above, as for any socket.
 */

import { getSystemErrorName } from "node:util";
import { addon, type Sockets } from "../native/native.js";
import { pathBytes } from "../paths.js";
import type { SocketAddress } from "./address.js";
import { KEEP_ALIVE } from "./native-socket.js";
import type { TcpEnd } from "./proxy-header.js";

/** What happens to a socket. */
export interface SocketEvents {
  /** Clients wait: of one that listens. */
  acceptable?(): void;
  /** Of one that is dialled. */
  connected?(id: number): void;
  /** The bytes that were expected; they belong to the listener. */
  arrived?(bytes: Uint8Array): void;
  /** The other side has ended its stream after that many of the bytes that were expected. */
  ended?(arrivedBytes: number): void;
  /** It cannot be connected, or it is broken. */
  failed?(error: NodeJS.ErrnoException): void;
}

/** How a socket is set up. */
export interface AddonSocketOptions {
  readonly keepAlive: boolean;
  /** Whether the other side sees a reset when this process dies, from the first moment on. */
  readonly resetOnDeath: boolean;
}

/** A client that was accepted. */
export interface AddonClient {
  readonly id: number;
  readonly peer: string;
}

const HEADER_BYTES = 12;

/** The kinds of events, by their numbers in the addon. */
enum Kind {
  acceptable,
  connected,
  arrived,
  ended,
  failed,
}

/**
 * The sockets that the addon has, by number. A number is valid until `take` or `close`; what happens to a socket is told
 * to the events that were given with it, one event loop turn at a time.
 */
export class AddonSockets {
  readonly #native: Sockets;
  readonly #events = new Map<number, SocketEvents>();
  readonly #out = new Uint8Array(addon.eventBytes());
  readonly #view = new DataView(this.#out.buffer);

  private constructor() {
    this.#native = new addon.Sockets(KEEP_ALIVE, () => this.#ready());
  }

  /** Undefined where this program's event loop cannot watch the addon's descriptor. */
  static create(): AddonSockets | undefined {
    try {
      return "Sockets" in addon ? new AddonSockets() : undefined;
    } catch {
      return undefined;
    }
  }

  /** Takes over a descriptor that listens. */
  listen(descriptor: number, options: AddonSocketOptions & { readonly shared: boolean }, events: SocketEvents): number {
    const { shared, keepAlive, resetOnDeath } = options;
    const id = this.#native.listen(descriptor, shared, keepAlive, resetOnDeath);
    this.#events.set(id, events);
    return id;
  }

  /**
   * Accepts a client; undefined where none waits, and the next one is an event.
   *
   * @throws the system's error.
   */
  accept(listener: number): AddonClient | undefined {
    const accepted = this.#native.accept(listener);
    return accepted === null ? undefined : { id: accepted.id, peer: accepted.peer ?? "unknown" };
  }

  /** Makes another event of clients that still wait. */
  rearm(listener: number): void {
    this.#native.rearm(listener);
  }

  /**
   * Begins to connect.
   *
   * @throws what the system refuses at once; `EAGAIN` where the backlog of a UNIX socket is full.
   */
  connect(address: SocketAddress, { keepAlive, resetOnDeath }: AddonSocketOptions, events: SocketEvents): number {
    const id =
      address.kind === "unix"
        ? this.#native.connectUnix(pathBytes(address.path))
        : this.#native.connect(address.address, address.port, keepAlive, resetOnDeath);
    this.#events.set(id, events);
    return id;
  }

  /** Who is told from now on. */
  setEvents(id: number, events: SocketEvents): void {
    this.#events.set(id, events);
  }

  /** @throws the system's error. */
  send(id: number, bytes: Uint8Array): void {
    this.#native.send(id, bytes);
  }

  /** @throws where the socket cannot be watched. */
  expect(id: number, length: number): void {
    this.#native.expect(id, length);
  }

  /** What has come of the bytes that are expected, or were when the stream ended or the socket failed. */
  arrived(id: number): Uint8Array {
    return this.#native.arrived(id);
  }

  /** The first `length` bytes, or fewer, that wait to be read, and go on waiting. */
  peek(id: number, length: number): Uint8Array {
    return this.#native.peek(id, length);
  }

  /** Whether the other side has ended its stream, or the socket has failed, and nothing waits to be read before that. */
  hasEnded(id: number): boolean {
    return this.#native.hasEnded(id);
  }

  /** A socket that was reset refuses it, and does no more harm. */
  resetOnClose(id: number, resets: boolean): void {
    try {
      this.#native.resetOnClose(id, resets);
    } catch {
      // Whoever reads from it learns of that.
    }
  }

  /** Where a socket was accepted; undefined where the system no longer knows. */
  localEnd(id: number): TcpEnd | "unix" | undefined {
    try {
      return this.#native.localAddress(id) ?? "unix";
    } catch {
      // It has been reset, which whoever uses it learns of.
      return undefined;
    }
  }

  /** Gives the descriptor away. */
  take(id: number): number {
    this.#events.delete(id);
    return this.#native.take(id);
  }

  /** Closes or resets a socket; closes one that listens. Harmless where it is closed. */
  close(id: number, resets: boolean): void {
    this.#events.delete(id);
    this.#native.close(id, resets);
  }

  #ready(): void {
    const length = this.#native.poll(this.#out);
    for (let at = 0; at < length; ) {
      const id = this.#view.getUint32(at, LITTLE_ENDIAN);
      const kind = this.#view.getUint32(at + 4, LITTLE_ENDIAN) as Kind;
      const value = this.#view.getInt32(at + 8, LITTLE_ENDIAN);
      at += HEADER_BYTES;
      const bytes = kind === Kind.arrived ? this.#out.slice(at, at + value) : undefined;
      if (bytes !== undefined) at += (value + 3) & ~3;
      try {
        this.#tell(id, kind, value, bytes);
      } catch (thrown) {
        // A mistake of ours is told as one. The other events are told once only, so they are told now.
        setImmediate(() => {
          throw thrown;
        });
      }
    }
  }

  #tell(id: number, kind: Kind, value: number, bytes: Uint8Array | undefined): void {
    const events = this.#events.get(id);
    switch (kind) {
      case Kind.acceptable:
        events?.acceptable?.();
        break;
      case Kind.connected:
        events?.connected?.(id);
        break;
      case Kind.arrived:
        if (bytes !== undefined) events?.arrived?.(bytes);
        break;
      case Kind.ended:
        events?.ended?.(value);
        break;
      case Kind.failed:
        events?.failed?.(systemError(value));
    }
  }
}

const LITTLE_ENDIAN = new Uint8Array(new Uint32Array([1]).buffer)[0] === 1;

function systemError(errno: number): NodeJS.ErrnoException {
  const code = getSystemErrorName(-errno);
  return Object.assign(new Error(code), { code });
}

let sockets: AddonSockets | undefined | "none";

/** Those of this thread; undefined where there can be none. */
export function addonSockets(): AddonSockets | undefined {
  sockets ??= AddonSockets.create() ?? "none";
  return sockets === "none" ? undefined : sockets;
}
