/**
 * One side of a connection as the tunnel sees it: bytes in, bytes out, and two ways to end it early.
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
  /** Bytes that come in. */
  readonly reader: ByteReader;
  /** Where bytes go out; `end` half-closes. */
  readonly writable: Writable;
  /** Who is on the other side, for people. */
  readonly peer: string;
  /**
   * Sends a few bytes at once, where it can without `writable`, which may cost more.
   *
   * @returns False where this side has failed, which `onFailure` tells.
   */
  sendNow?(bytes: Uint8Array): boolean;
  /** The addresses of an accepted socket; undefined where the system no longer knows. Absent where there is no socket. */
  ends?(): SocketEnds | undefined;
  /** Calls back once if this side fails or has failed; never at once, and never after `close` or `reset`. */
  onFailure(listener: (error: SpipedError) => void): void;
  /** The first `length` bytes, or fewer, that wait to be read, and go on waiting. Absent where nobody can look. */
  peek?(length: number): Uint8Array;
  /**
   * Whether the other side has ended its stream or is lost, and has left nothing to read; for whoever does not read
   * meanwhile, and would not learn of it. False where the system cannot be asked. Absent where there is no socket.
   */
  hasEnded?(): boolean;
  /**
   * Why the end of `writable` has not been handed on although it has finished, on that side: Node takes the shutdown of a
   * socket that has been reset for done. Undefined where it has been. Absent where there is no socket.
   */
  failureOfEnd?(): SpipedError | undefined;
  /**
   * Says what the other side sees if this process dies: a reset, or the end that the system makes of it. Absent where
   * there is no choice. A new channel makes an end; `close` makes one whatever was said before.
   */
  resetOnDeath?(resets: boolean): void;
  /** Ends both directions at once; the other side sees an end, or a reset if it still sends. */
  close(): void;
  /** Ends both directions so that the other side cannot take it for an orderly end, where its kind of socket can. */
  reset(): void;
  /**
   * A second descriptor of the socket, for somebody else to use it instead. Absent where there is no socket; undefined
   * where its descriptor is not known, or where not all that was written or read is with the system.
   */
  copyDescriptor?(): DescriptorCopy | undefined;
  /** Lets go of the socket, which goes on under the copied descriptor: `close` and `reset` are `end`'s from now on. */
  handOver?(end: (resets: boolean) => void): void;
}

/** A descriptor that belongs to whoever takes it. */
export interface DescriptorCopy {
  take(): number;
  close(): void;
}

/** The other side of a TCP socket. */
export interface RemoteAddress {
  readonly address: string;
  readonly port: number;
  readonly family: "IPv4" | "IPv6";
}

/** What a program may want of the socket below its stream. */
export interface Carrier {
  /** Undefined for a UNIX socket. */
  readonly remote: RemoteAddress | undefined;
  /** Keeps the process running while the socket is open, as it does from the start. */
  ref(): void;
  /** Lets the process end although the socket is open. */
  unref(): void;
}

/** A socket, TCP or UNIX. */
export class SocketChannel extends FailureLatch implements Channel, Carrier {
  readonly reader: ByteReader;
  readonly peer: string;
  readonly remote: RemoteAddress | undefined;
  readonly #socket: Socket;
  /** Ends the socket where somebody else has it. */
  #end: ((resets: boolean) => void) | undefined;
  /** Whether the system resets the connection when the socket is closed. */
  #resets = false;

  constructor(socket: Socket, reader: ByteReader, peer: string) {
    super();
    this.#socket = socket;
    this.reader = reader;
    this.peer = peer;
    // Asked now, because a socket that has lost its peer no longer knows.
    this.remote = remoteOf(socket);
    socket.on("error", (cause) => this.#failed(cause));
  }

  get writable(): Writable {
    return this.#socket;
  }

  ends(): SocketEnds | undefined {
    // Somebody whose connection was reset at once is known by name only.
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
    if (this.isSettled || this.#socket.writableLength > 0 || !(reader instanceof SocketReader) || reader.hasBufferedBytes) {
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
    // What follows the first is for systems where the descriptor is not known.
    if (this.#resets || this.remote === undefined) socket.destroy();
    // A shutdown that is under way refuses the reset, and the descriptor would stay open for ever.
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
    const words = socketFailure(codeOf(cause) ?? "", messageOf(cause));
    this.fail(new SpipedError("SPIPED_RESET", words, { cause }));
  }
}

/**
 * Sends a few bytes ahead of all that `writable` is given later.
 *
 * @returns False where that side is known to have failed, which its `onFailure` tells.
 */
export function sendAhead(channel: Channel, bytes: Uint8Array): boolean {
  if (channel.sendNow !== undefined) return channel.sendNow(bytes);
  channel.writable.write(bytes);
  return true;
}

/** The other side that a channel's name for people tells of; undefined where it is no TCP socket's. */
export function remoteOfPeer(peer: string): RemoteAddress | undefined {
  const [, address, port] = peer.match(/^\[(.*)\]:(\d+)$/) ?? [];
  if (address === undefined) return undefined;
  return { address, port: Number(port), family: address.includes(":") ? "IPv6" : "IPv4" };
}

/** Puts the ends of an accepted socket together; undefined where one of them is not known. */
export function endsOf(remote: TcpEnd | undefined, local: TcpEnd | "unix" | undefined): SocketEnds | undefined {
  if (local === "unix") return { kind: "unix" };
  return remote === undefined || local === undefined ? undefined : { kind: "tcp", remote, local };
}

/** What a socket's error means, in words for the operator. */
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
