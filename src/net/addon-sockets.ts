/**
 * Sockets without a `net.Socket`. A connection that is accepted or dialed, does the exact reads and is then handed over to
 * the relay needs none of Node's streams, buffers and events. The addon owns the descriptors of these sockets and
 * identifies them by number; the event loop watches a single descriptor for all of them.
 *
 * Which clients to accept, what to send and how much to read is still decided here and in the layers above.
 */

import { getSystemErrorName } from "node:util";
import { addon, type Sockets } from "../native/native.js";
import { pathBytes } from "../paths.js";
import type { SocketAddress } from "./address.js";
import { KEEP_ALIVE } from "./native-socket.js";
import type { TcpEnd } from "./proxy-header.js";

/** The events of a socket. */
export interface SocketEvents {
  /** A listening socket has clients to accept. */
  acceptable?(): void;
  /** A dialed socket is connected. */
  connected?(id: number): void;
  /** All expected bytes have arrived; the callee owns them. */
  arrived?(bytes: Uint8Array): void;
  /** The peer ended its stream after this many of the expected bytes. */
  ended?(arrivedBytes: number): void;
  /** Connecting, reading or writing failed. */
  failed?(error: NodeJS.ErrnoException): void;
}

/** The options of a socket. */
export interface AddonSocketOptions {
  readonly keepAlive: boolean;
  /** Whether the peer sees a reset if this process dies, from the moment the socket exists. */
  readonly resetOnDeath: boolean;
}

/** An accepted client. */
export interface AddonClient {
  readonly id: number;
  readonly peer: string;
}

const HEADER_BYTES = 12;

/** The addon's event numbers. */
enum Kind {
  acceptable,
  connected,
  arrived,
  ended,
  failed,
}

/**
 * The sockets that the addon owns, by number. A number is valid until `take` or `close`. Events of a socket are delivered
 * to its `SocketEvents`, from the event loop.
 */
export class AddonSockets {
  readonly #native: Sockets;
  readonly #events = new Map<number, SocketEvents>();
  readonly #out = new Uint8Array(addon.eventBytes());
  readonly #view = new DataView(this.#out.buffer);

  private constructor() {
    this.#native = new addon.Sockets(KEEP_ALIVE, () => this.#ready());
  }

  /** Undefined if this process's event loop cannot watch the addon's descriptor. */
  static create(): AddonSockets | undefined {
    try {
      return "Sockets" in addon ? new AddonSockets() : undefined;
    } catch {
      return undefined;
    }
  }

  /** Takes ownership of a listening descriptor. */
  listen(descriptor: number, options: AddonSocketOptions & { readonly shared: boolean }, events: SocketEvents): number {
    const { shared, keepAlive, resetOnDeath } = options;
    const id = this.#native.listen(descriptor, shared, keepAlive, resetOnDeath);
    this.#events.set(id, events);
    return id;
  }

  /**
   * Accepts a client. If none is waiting, returns undefined; the next client triggers `acceptable`.
   *
   * @throws the system error.
   */
  accept(listener: number): AddonClient | undefined {
    const accepted = this.#native.accept(listener);
    return accepted === null ? undefined : { id: accepted.id, peer: accepted.peer ?? "unknown" };
  }

  /** Triggers `acceptable` again if clients are still waiting. */
  rearm(listener: number): void {
    this.#native.rearm(listener);
  }

  /**
   * Begins to connect.
   *
   * @throws the system error if connecting fails at once; `EAGAIN` if the backlog of a UNIX socket is full.
   */
  connect(address: SocketAddress, { keepAlive, resetOnDeath }: AddonSocketOptions, events: SocketEvents): number {
    const id =
      address.kind === "unix"
        ? this.#native.connectUnix(pathBytes(address.path))
        : this.#native.connect(address.address, address.port, keepAlive, resetOnDeath);
    this.#events.set(id, events);
    return id;
  }

  /** Replaces the events of a socket. */
  setEvents(id: number, events: SocketEvents): void {
    this.#events.set(id, events);
  }

  /** @throws the system error. */
  send(id: number, bytes: Uint8Array): void {
    this.#native.send(id, bytes);
  }

  /**
   * Reads `length` bytes in the background, then triggers `arrived`.
   *
   * @throws if the socket cannot be watched.
   */
  expect(id: number, length: number): void {
    this.#native.expect(id, length);
  }

  /** The expected bytes received so far, or until the stream ended or the socket failed. */
  arrived(id: number): Uint8Array {
    return this.#native.arrived(id);
  }

  /** Up to `length` bytes that are waiting to be read, without consuming them. */
  peek(id: number, length: number): Uint8Array {
    return this.#native.peek(id, length);
  }

  /** Whether the peer ended its stream or the socket failed, with no data left to read. */
  hasEnded(id: number): boolean {
    return this.#native.hasEnded(id);
  }

  /** Sets whether closing the socket resets the connection. Does nothing if the socket has already been reset. */
  resetOnClose(id: number, resets: boolean): void {
    try {
      this.#native.resetOnClose(id, resets);
    } catch {
      // The socket was reset; its reader gets that error.
    }
  }

  /** The local address of an accepted socket; undefined if the system no longer knows it. */
  localEnd(id: number): TcpEnd | "unix" | undefined {
    try {
      return this.#native.localAddress(id) ?? "unix";
    } catch {
      // The socket was reset; its reader gets that error.
      return undefined;
    }
  }

  /** Releases the descriptor to the caller, who must close it. */
  take(id: number): number {
    this.#events.delete(id);
    return this.#native.take(id);
  }

  /** Closes or resets a socket, or closes a listening one. Does nothing if it is closed already. */
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
        // A bug in a callback surfaces as an uncaught exception. The remaining events must still be delivered now: the
        // addon reports each only once.
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

/** The addon sockets of this thread; undefined if they are not supported. */
export function addonSockets(): AddonSockets | undefined {
  sockets ??= AddonSockets.create() ?? "none";
  return sockets === "none" ? undefined : sockets;
}
