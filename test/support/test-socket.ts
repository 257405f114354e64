// One end of a connection for tests: exact reads, how it ended, and every way to end it.

import { createHash, type Hash } from "node:crypto";
import { connect, type Socket } from "node:net";
import type { TestContext } from "node:test";
import { type Address, socketOptionsOf, textOf } from "./addresses.js";
import { afterwards, until, within } from "./cleanup.js";
import { RandomData } from "./random-data.js";

/**
 * `fin`: the other side has sent everything. `reset`: it aborted; on a UNIX socket, it closed both directions at once.
 */
export type SocketEnd = "fin" | "reset";

/** The stream ended before the read was complete. */
export class EndedEarly extends Error {
  readonly received: Uint8Array;
  readonly end: SocketEnd;

  constructor(received: Uint8Array, end: SocketEnd) {
    super(`the stream ended (${end}) after ${received.length} more bytes`);
    this.received = received;
    this.end = end;
  }
}

/** A socket that stays half-open until told otherwise. It reads continuously and buffers what is not asked for yet. */
export class TestSocket {
  readonly socket: Socket;
  readonly #isUnix: boolean;
  #received: Uint8Array[] = [];
  #receivedBytes = 0;
  #hash: Hash | undefined;
  #end: SocketEnd | undefined;
  #wake: Array<() => void> = [];
  readonly #closed: Promise<void>;

  /** @param socket - Must have `allowHalfOpen`, and nobody else may read it. */
  constructor(socket: Socket, kind: Address["kind"]) {
    this.socket = socket;
    this.#isUnix = kind === "unix";
    socket.setNoDelay(true);
    socket.on("data", (chunk: Buffer) => {
      this.#receivedBytes += chunk.length;
      if (this.#hash === undefined) this.#received.push(chunk);
      else this.#hash.update(chunk);
      this.#changed();
    });
    socket.on("end", () => this.#ended("fin"));
    socket.on("error", () => this.#ended("reset"));
    this.#closed = new Promise((resolve) => {
      socket.once("close", () => {
        this.#ended("reset");
        resolve();
      });
    });
  }

  /** Connects to `address`; the connection is gone when the test ends. */
  static async connect(t: TestContext, address: Address): Promise<TestSocket> {
    return until(
      async () => {
        const socket = connect({ ...socketOptionsOf(address), allowHalfOpen: true });
        afterwards(t, () => socket.destroy());
        const error = await new Promise<NodeJS.ErrnoException | undefined>((resolve) => {
          socket.once("connect", () => resolve(undefined));
          socket.once("error", resolve);
        });
        if (error === undefined) return new TestSocket(socket, address.kind);
        // Accepted and reset before this process looked: still a connection, already at its end.
        if (error.code === "ECONNRESET") {
          const reset = new TestSocket(socket, address.kind);
          reset.#ended("reset");
          return reset;
        }
        // A UNIX socket with a full backlog reports this to non-blocking sockets; others wait.
        if (error.code === "EAGAIN") return undefined;
        throw error;
      },
      `a connection to ${textOf(address)} to be accepted`,
    );
  }

  #changed(): void {
    const wake = this.#wake;
    this.#wake = [];
    for (const resolve of wake) resolve();
  }

  #ended(end: SocketEnd): void {
    this.#end ??= end;
    this.#changed();
  }

  #change(): Promise<void> {
    return new Promise((resolve) => this.#wake.push(resolve));
  }

  async #until(condition: () => boolean, what: string): Promise<void> {
    const wait = async (): Promise<void> => {
      while (!condition()) await this.#change();
    };
    await within(wait(), () => `${what}; ${this.#receivedBytes} bytes have come so far`);
  }

  #take(lengthBytes: number): Uint8Array {
    const all = Buffer.concat(this.#received);
    const taken = all.subarray(0, lengthBytes);
    this.#received = taken.length === all.length ? [] : [all.subarray(lengthBytes)];
    this.#receivedBytes -= taken.length;
    return taken;
  }

  /** Number of bytes received and not read yet. */
  get waitingBytes(): number {
    return this.#receivedBytes;
  }

  /**
   * Exactly `lengthBytes` bytes.
   *
   * @throws EndedEarly when the stream ends before.
   */
  async read(lengthBytes: number): Promise<Uint8Array> {
    await this.#until(() => this.#receivedBytes >= lengthBytes || this.#end !== undefined, `${lengthBytes} bytes`);
    if (this.#receivedBytes < lengthBytes && this.#end !== undefined) {
      throw new EndedEarly(this.#take(this.#receivedBytes), this.#end);
    }
    return this.#take(lengthBytes);
  }

  /** Everything until the end of the stream, and how it ended. */
  async readToEnd(): Promise<{ bytes: Uint8Array; end: SocketEnd }> {
    const end = await this.end();
    return { bytes: this.#take(this.#receivedBytes), end };
  }

  /** Hashes everything until the end of the stream without keeping it. */
  async digestToEnd(): Promise<{ digest: string; lengthBytes: number; end: SocketEnd }> {
    const hash = createHash("sha256");
    for (const chunk of this.#received) hash.update(chunk);
    this.#received = [];
    this.#hash = hash;
    const end = await this.end();
    return { digest: hash.digest("hex"), lengthBytes: this.#receivedBytes, end };
  }

  /**
   * How the other side's stream ended, as far as reading shows it. A reset that comes together with the last data looks
   * like an end here, because libuv reports it so; `endWhileOpen` is not deceived.
   */
  async end(): Promise<SocketEnd> {
    await this.#until(() => this.#end !== undefined, "the end of a stream");
    return this.#end ?? "reset";
  }

  /**
   * How the other side ended while this side has not. An end of file can be all that reading shows of a UNIX socket's
   * close of both directions, and of a reset right behind data; a write that fails tells them from a half-close. So this
   * writes a byte then.
   */
  async endWhileOpen(): Promise<SocketEnd> {
    const end = await this.end();
    if (end === "reset") return end;
    return (await this.write(Uint8Array.of(0))) ? "fin" : "reset";
  }

  /** Writes and waits until the system has accepted everything. @returns Whether it did. */
  write(bytes: Uint8Array | string): Promise<boolean> {
    const written = new Promise<boolean>((resolve) => {
      if (this.socket.destroyed) resolve(false);
      else this.socket.write(bytes, (error) => resolve(error === null || error === undefined));
    });
    return within(written, "a write to be taken");
  }

  /** Writes until the other side's reset or close is noticed, after its stream has ended. */
  async untilWritesFail(): Promise<void> {
    await until(async () => ((await this.write(Uint8Array.of(0))) ? undefined : true), "a write to fail");
  }

  /** Writes so that each piece is a write of its own. @returns Whether the system took it all. */
  async writeInPieces(bytes: Uint8Array, pieceBytes: number): Promise<boolean> {
    for (let at = 0; at < bytes.length; at += pieceBytes) {
      if (!(await this.write(bytes.subarray(at, at + pieceBytes)))) return false;
      await new Promise((resolve) => setImmediate(resolve));
    }
    return true;
  }

  /** Writes the first `lengthBytes` bytes of a seed as fast as they are accepted. */
  async writeRandomData(seed: string, lengthBytes: number): Promise<void> {
    for (const piece of new RandomData(seed).pieces(lengthBytes)) await this.write(piece);
  }

  /** Ends the sending direction; reading continues. */
  finish(): void {
    this.socket.end();
  }

  /** Aborts: a reset on TCP, a close of both directions on a UNIX socket. */
  reset(): void {
    const { socket } = this;
    if (this.#isUnix) socket.destroy();
    // While an end is pending, Node refuses the reset and leaves the socket open.
    else if (socket.writableEnded && !socket.writableFinished) socket.once("finish", () => socket.resetAndDestroy());
    else socket.resetAndDestroy();
  }

  /** Closes both directions, as an exiting process does. */
  close(): void {
    this.socket.destroy();
  }

  /** Waits until both directions are closed. */
  async closed(): Promise<void> {
    await within(this.#closed, "a socket to be closed");
  }
}
