/**
 * One side of a connection over a socket in the addon; see addon-sockets.ts.
 *
 * If its data cannot be handed over to the relay after all, the channel moves the socket into a `net.Socket`.
 */

import { Socket, type SocketConstructorOpts } from "node:net";
import type { Writable } from "node:stream";
import { codeOf, messageOf, SpipedError } from "../errors.js";
import type { AddonSockets, SocketEvents } from "./addon-sockets.js";
import type { ByteReader, ByteSink } from "./byte-reader.js";
import {
  type Carrier,
  type Channel,
  type DescriptorCopy,
  endsOf,
  type RemoteAddress,
  remoteOfPeer,
  SocketChannel,
  sendAhead,
  socketFailure,
} from "./channel.js";
import { EarlyEnd } from "./exact-reads.js";
import { FailureLatch } from "./failure-latch.js";
import type { SocketEnds } from "./proxy-header.js";
import { type ReadBuffer, type ReadOptions, SocketReader } from "./socket-reader.js";

/** The parts of a channel. */
export interface AddonChannelOptions {
  readonly sockets: AddonSockets;
  readonly id: number;
  readonly peer: string;
  /** Total length of all exact reads, in bytes. */
  readonly exactLength: number;
  /** Memory to read into once the socket is a `net.Socket`. */
  readonly readBuffer: ReadBuffer;
  readonly resetOnDeath: boolean;
}

/** Who owns the socket. */
type Owner =
  | { readonly name: "addon" }
  | { readonly name: "relay"; readonly end: (resets: boolean) => void }
  | { readonly name: "node"; readonly channel: SocketChannel }
  | { readonly name: "nobody" };

/**
 * A channel over a socket in the addon. It owns the socket until `close`, `reset` or `handOver`. Using `writable` or
 * `flowInto` moves the socket into a `net.Socket`, to which everything is then delegated.
 */
export class AddonChannel extends FailureLatch implements Channel, Carrier, ByteReader, SocketEvents {
  readonly #options: AddonChannelOptions;
  readonly reader: ByteReader = this;
  readonly leavesBytesToSystem = true;
  #owner: Owner = { name: "addon" };
  #resets: boolean;
  /** Bytes received by exact reads, for `arrivedSoFar`. */
  #arrived: readonly Uint8Array[] = [];
  #waiting: { resolve(bytes: Uint8Array): void; reject(error: EarlyEnd): void } | undefined;
  /** How many bytes had arrived when the socket failed or was closed; no exact read succeeds after that. */
  #brokenAfter: number | undefined;

  constructor(options: AddonChannelOptions) {
    super();
    this.#options = options;
    this.#resets = options.resetOnDeath;
    if (options.exactLength > 0) options.sockets.setEvents(options.id, this);
  }

  get peer(): string {
    return this.#options.peer;
  }

  get remote(): RemoteAddress | undefined {
    return remoteOfPeer(this.peer);
  }

  get writable(): Writable {
    return this.#asNodes().writable;
  }

  sendNow(bytes: Uint8Array): boolean {
    if (this.#owner.name === "node") return sendAhead(this.#owner.channel, bytes);
    if (this.#owner.name !== "addon") return false;
    try {
      this.#options.sockets.send(this.#options.id, bytes);
      return true;
    } catch (cause) {
      this.failed(cause);
      return false;
    }
  }

  ends(): SocketEnds | undefined {
    if (this.#owner.name === "node") return this.#owner.channel.ends();
    if (this.#owner.name !== "addon") return undefined;
    return endsOf(this.remote, this.#options.sockets.localEnd(this.#options.id));
  }

  readExactly(length: number): Promise<Uint8Array> {
    return new Promise((resolve, reject) => {
      this.#waiting = { resolve, reject };
      if (this.#brokenAfter !== undefined) this.#break();
      if (this.#owner.name !== "addon" || this.#brokenAfter !== undefined) return;
      try {
        this.#options.sockets.expect(this.#options.id, length);
      } catch (cause) {
        this.failed(cause);
      }
    });
  }

  arrivedSoFar(): Uint8Array {
    const { sockets, id } = this.#options;
    return Buffer.concat(this.#owner.name === "addon" ? [...this.#arrived, sockets.arrived(id)] : this.#arrived);
  }

  peek(length: number): Uint8Array {
    return this.#owner.name === "addon" ? this.#options.sockets.peek(this.#options.id, length) : new Uint8Array();
  }

  hasEnded(): boolean {
    if (this.#owner.name === "node") return this.#owner.channel.hasEnded();
    return this.#owner.name === "addon" && this.#options.sockets.hasEnded(this.#options.id);
  }

  failureOfEnd(): SpipedError | undefined {
    return this.#owner.name === "node" ? this.#owner.channel.failureOfEnd() : undefined;
  }

  flowInto(sink: ByteSink): void {
    this.#asNodes().reader.flowInto(sink);
  }

  resume(): void {
    this.#asNodes().reader.resume();
  }

  resetOnDeath(resets: boolean): void {
    if (this.#owner.name === "node") this.#owner.channel.resetOnDeath(resets);
    if (this.#owner.name !== "addon" || resets === this.#resets) return;
    this.#resets = resets;
    this.#options.sockets.resetOnClose(this.#options.id, resets);
  }

  copyDescriptor(): DescriptorCopy | undefined {
    if (this.#owner.name === "node") return this.#owner.channel.copyDescriptor();
    if (this.#owner.name !== "addon") return undefined;
    return { take: () => this.#options.sockets.take(this.#options.id), close: () => undefined };
  }

  handOver(end: (resets: boolean) => void): void {
    this.settle();
    if (this.#owner.name === "node") this.#owner.channel.handOver(end);
    else this.#owner = { name: "relay", end };
    this.#arrived = [];
  }

  close(): void {
    this.#end(false);
  }

  reset(): void {
    this.#end(true);
  }

  ref(): void {
    // An open socket always keeps the process alive.
  }

  unref(): void {
    // Not supported: only the library's streams call it, and they use other channels.
  }

  arrived(bytes: Uint8Array): void {
    this.#arrived = [...this.#arrived, bytes];
    const waiting = this.#waiting;
    this.#waiting = undefined;
    waiting?.resolve(bytes);
  }

  ended(arrivedBytes: number): void {
    const before = this.#arrived.reduce((sum, { length }) => sum + length, 0);
    this.#waiting?.reject(new EarlyEnd("orderly", before + arrivedBytes, this.#options.exactLength));
    this.#waiting = undefined;
  }

  failed(cause: unknown): void {
    const words = socketFailure(codeOf(cause) ?? "", messageOf(cause));
    this.fail(new SpipedError("SPIPED_RESET", words, { cause }));
    this.#break();
  }

  /** Rejects the pending exact read, and those to come. */
  #break(): void {
    this.#brokenAfter ??= this.arrivedSoFar().length;
    this.#waiting?.reject(new EarlyEnd("closed", this.#brokenAfter, this.#options.exactLength));
    this.#waiting = undefined;
  }

  #end(resets: boolean): void {
    this.settle();
    const owner = this.#owner;
    switch (owner.name) {
      case "addon":
        this.#break();
        this.#owner = { name: "nobody" };
        this.#options.sockets.close(this.#options.id, resets);
        return;
      case "relay":
        owner.end(resets);
        return;
      case "node":
        if (resets) owner.channel.reset();
        else owner.channel.close();
        return;
      case "nobody":
    }
  }

  #asNodes(): SocketChannel {
    if (this.#owner.name === "node") return this.#owner.channel;
    const { sockets, id, readBuffer, peer } = this.#options;
    const reader = new SocketReader(readBuffer, 0);
    const options: SocketConstructorOpts & ReadOptions = {
      fd: sockets.take(id),
      allowHalfOpen: true,
      manualStart: true,
      onread: reader.onread,
    };
    const socket = new Socket(options);
    reader.attach(socket);
    const channel = new SocketChannel(socket, reader, peer);
    channel.resetOnDeath(this.#resets);
    channel.onFailure((error) => this.fail(error));
    this.#owner = { name: "node", channel };
    this.#arrived = [];
    return channel;
  }
}
