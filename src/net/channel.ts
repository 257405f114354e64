/**
 * One side of a connection as the tunnel sees it: data in, data out, and two ways to end it early.
 */

import type { Socket } from "node:net";
import type { Writable } from "node:stream";
import { codeOf, messageOf, SpipedError } from "../errors.js";
import type { ByteReader } from "./byte-reader.js";
import { FailureLatch } from "./failure-latch.js";
import { duplicate, hasEnded, localEnd, resetOnClose } from "./native-socket.js";
import type { SocketEnds, TcpEnd } from "./proxy-header.js";
import { pendingSocketError } from "./socket-error.js";
import { SocketReader } from "./socket-reader.js";

/** One side of a connection: a socket, or the standard streams of `spipe`. */
export interface Channel {
  /** Incoming data. */
  readonly reader: ByteReader;
  /** Outgoing data; `end` half-closes the connection. */
  readonly writable: Writable;
  /** Printable name of the peer. */
  readonly peer: string;
  /**
   * Sends a few bytes immediately, without the overhead of `writable`. Absent if there is no such shortcut.
   *
   * @returns False if this side has failed; `onFailure` reports why.
   */
  sendNow?(bytes: Uint8Array): boolean;
  /** The addresses of an accepted socket; undefined if the system no longer knows them. Absent if there is no socket. */
  ends?(): SocketEnds | undefined;
  /** Calls back once if this side fails or has failed; always asynchronously, and never after `close` or `reset`. */
  onFailure(listener: (error: SpipedError) => void): void;
  /** Up to `length` bytes that are waiting to be read, without consuming them. Absent if that is not possible. */
  peek?(length: number): Uint8Array;
  /**
   * Whether the peer has ended its stream or is gone, with no data left to read. For callers that are not reading and
   * would not notice otherwise. False if the system cannot tell. Absent if there is no socket.
   */
  hasEnded?(): boolean;
  /**
   * Why the end of `writable` did not reach the peer although the stream has finished: Node treats the shutdown of a
   * socket that has been reset as successful. Undefined if it did reach the peer. Absent if there is no socket.
   */
  failureOfEnd?(): SpipedError | undefined;
  /**
   * Sets whether the peer sees a reset or an orderly end if this process dies. The default is an orderly end, and `close`
   * always sends one. Absent if there is no choice.
   */
  resetOnDeath?(resets: boolean): void;
  /** Closes both directions. The peer sees an orderly end, or a reset if it is still sending. */
  close(): void;
  /** Resets the connection, so that the peer cannot mistake it for an orderly end. UNIX sockets are just closed. */
  reset(): void;
  /**
   * Duplicates the socket's descriptor, to hand the socket over. Undefined if the descriptor is not known, or if data is
   * still buffered in this process. Absent if there is no socket.
   */
  copyDescriptor?(): DescriptorCopy | undefined;
  /** Releases the socket, which lives on in the copied descriptor. `close` and `reset` call `end` from now on. */
  handOver?(end: (resets: boolean) => void): void;
}

/** A descriptor to be used or closed: call exactly one of the two methods. */
export interface DescriptorCopy {
  take(): number;
  close(): void;
}

/** The remote address of a TCP socket. */
export interface RemoteAddress {
  readonly address: string;
  readonly port: number;
  readonly family: "IPv4" | "IPv6";
}

/** The parts of a socket that the library exposes on its streams. */
export interface Carrier {
  /** Undefined for a UNIX socket. */
  readonly remote: RemoteAddress | undefined;
  /** Keeps the process alive while the socket is open, which is the default. */
  ref(): void;
  /** Lets the process exit while the socket is open. */
  unref(): void;
}

/** A channel over a `net.Socket`, TCP or UNIX. */
export class SocketChannel extends FailureLatch implements Channel, Carrier {
  readonly reader: ByteReader;
  readonly peer: string;
  readonly remote: RemoteAddress | undefined;
  readonly #socket: Socket;
  /** Set by `handOver`: ends the socket at its new owner. */
  #end: ((resets: boolean) => void) | undefined;
  /** Whether the system resets the connection when the socket is closed. */
  #resets = false;

  constructor(socket: Socket, reader: ByteReader, peer: string) {
    super();
    this.#socket = socket;
    this.reader = reader;
    this.peer = peer;
    // Ask now: after a reset, the socket no longer knows its peer.
    this.remote = remoteOf(socket);
    socket.on("error", (cause) => this.#failed(cause));
  }

  get writable(): Writable {
    return this.#socket;
  }

  ends(): SocketEnds | undefined {
    // After an immediate reset, the peer is known by its name only.
    return this.isSettled ? undefined : endsOf(this.remote ?? remoteOfPeer(this.peer), localEnd(this.#socket));
  }

  resetOnDeath(resets: boolean): void {
    if (this.isSettled || resets === this.#resets) return;
    this.#resets = resetOnClose(this.#socket, resets) && resets;
  }

  hasEnded(): boolean {
    return !this.isSettled && hasEnded(this.#socket);
  }

  failureOfEnd(): SpipedError | undefined {
    const code = this.isSettled ? undefined : pendingSocketError(this.#socket);
    return code === undefined ? undefined : new SpipedError("SPIPED_RESET", socketFailure(code, code));
  }

  copyDescriptor(): DescriptorCopy | undefined {
    const { reader } = this;
    if (
      this.isSettled ||
      this.#socket.writableLength > 0 ||
      !(reader instanceof SocketReader) ||
      reader.hasBufferedBytes
    ) {
      return undefined;
    }
    return duplicate(this.#socket);
  }

  handOver(end: (resets: boolean) => void): void {
    this.settle();
    this.#end = end;
    this.#socket.destroy();
  }

  close(): void {
    if (this.#end !== undefined) {
      this.#end(false);
      return;
    }
    this.resetOnDeath(false);
    this.settle();
    this.#socket.destroy();
  }

  reset(): void {
    if (this.#end !== undefined) {
      this.#end(true);
      return;
    }
    this.resetOnDeath(true);
    this.settle();
    const socket = this.#socket;
    // The other branches are for systems where the descriptor is not known.
    if (this.#resets || this.remote === undefined) socket.destroy();
    // A reset fails while a shutdown is in progress, and would leak the descriptor.
    else if (socket.writableEnded && !socket.writableFinished && socket.writableLength === 0) {
      socket.once("finish", () => socket.resetAndDestroy());
    } else socket.resetAndDestroy();
  }

  ref(): void {
    this.#socket.ref();
  }

  unref(): void {
    this.#socket.unref();
  }

  #failed(cause: Error): void {
    const message = socketFailure(codeOf(cause) ?? "", messageOf(cause));
    this.fail(new SpipedError("SPIPED_RESET", message, { cause }));
  }
}

/**
 * Sends a few bytes, before any data that is later written to `writable`.
 *
 * @returns False if the channel is known to have failed; its `onFailure` reports why.
 */
export function sendAhead(channel: Channel, bytes: Uint8Array): boolean {
  if (channel.sendNow !== undefined) return channel.sendNow(bytes);
  channel.writable.write(bytes);
  return true;
}

/** Parses the address out of a channel's `peer`; undefined if it is not a TCP address. */
export function remoteOfPeer(peer: string): RemoteAddress | undefined {
  const [, address, port] = peer.match(/^\[(.*)\]:(\d+)$/) ?? [];
  if (address === undefined) return undefined;
  return { address, port: Number(port), family: address.includes(":") ? "IPv6" : "IPv4" };
}

/** Combines the two ends of an accepted socket; undefined if one of them is not known. */
export function endsOf(remote: TcpEnd | undefined, local: TcpEnd | "unix" | undefined): SocketEnds | undefined {
  if (local === "unix") return { kind: "unix" };
  return remote === undefined || local === undefined ? undefined : { kind: "tcp", remote, local };
}

/** The message for a socket error. */
export function socketFailure(code: string, message: string): string {
  return FAILURES[code] ?? message;
}

function remoteOf({ remoteAddress, remotePort, remoteFamily }: Socket): RemoteAddress | undefined {
  if (remoteAddress === undefined || remotePort === undefined) return undefined;
  return { address: remoteAddress, port: remotePort, family: remoteFamily === "IPv6" ? "IPv6" : "IPv4" };
}

const FAILURES: Readonly<Record<string, string>> = {
  ECONNRESET: "connection reset by peer",
  EPIPE: "broken pipe",
  ETIMEDOUT: "connection timed out",
  EHOSTUNREACH: "no route to host",
  ENETUNREACH: "network unreachable",
};
