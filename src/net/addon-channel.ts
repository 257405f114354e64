/**
 * One side of a connection over a socket that no `net.Socket` has; see addon-sockets.ts.
 *
 * Where its data cannot be handed over to the relay after all, it becomes a `net.Socket`, and goes on as any other.
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
import { handshakeEndError } from "./exact-reads.js";
import { FailureLatch } from "./failure-latch.js";
import type { SocketEnds } from "./proxy-header.js";
import { type ReadBuffer, type ReadOptions, SocketReader } from "./socket-reader.js";

/** What a channel is made of. */
export interface AddonChannelOptions {
  readonly sockets: AddonSockets;
  readonly id: number;
  readonly peer: string;
  /** Bytes of all exact reads together. */
  readonly exactLength: number;
  /** Memory to read into where it becomes a `net.Socket`. */
  readonly readBuffer: ReadBuffer;
  readonly resetOnDeath: boolean;
}

/** Who has the socket. */
type Holder =
  | { readonly name: "addon" }
  | { readonly name: "relay"; readonly end: (resets: boolean) => void }
  | { readonly name: "node"; readonly channel: SocketChannel }
  | { readonly name: "nobody" };

/**
 * A channel over a socket of the addon. It owns the socket until `close`, `reset` or `handOver`. Asked for its `writable`
 * or to flow into a sink, it makes a `net.Socket` of it and passes everything on.
 */
export class AddonChannel extends FailureLatch implements Channel, Carrier, ByteReader, SocketEvents {
  readonly #options: AddonChannelOptions;
  readonly reader: ByteReader = this;
  readonly leavesBytesToSystem = true;
  #holder: Holder = { name: "addon" };
  #resets: boolean;
  /** What has come for exact reads, as long as somebody may ask. */
  #arrived: readonly Uint8Array[] = [];
  #waiting: { resolve(bytes: Uint8Array): void; reject(error: SpipedError): void } | undefined;

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
    if (this.#holder.name === "node") return sendAhead(this.#holder.channel, bytes);
    if (this.#holder.name !== "addon") return false;
    try {
      this.#options.sockets.send(this.#options.id, bytes);
      return true;
    } catch (cause) {
      this.failed(cause);
      return false;
    }
  }

  ends(): SocketEnds | undefined {
    if (this.#holder.name === "node") return this.#holder.channel.ends();
    if (this.#holder.name !== "addon") return undefined;
    return endsOf(this.remote, this.#options.sockets.localEnd(this.#options.id));
  }

  readExactly(length: number): Promise<Uint8Array> {
    return new Promise((resolve, reject) => {
      this.#waiting = { resolve, reject };
      if (this.#holder.name !== "addon") return;
      try {
        this.#options.sockets.expect(this.#options.id, length);
      } catch (cause) {
        this.failed(cause);
      }
    });
  }

  arrivedSoFar(): Uint8Array {
    const { sockets, id } = this.#options;
    return Buffer.concat(this.#holder.name === "addon" ? [...this.#arrived, sockets.arrived(id)] : this.#arrived);
  }

  peek(length: number): Uint8Array {
    return this.#holder.name === "addon" ? this.#options.sockets.peek(this.#options.id, length) : new Uint8Array();
  }

  hasEnded(): boolean {
    if (this.#holder.name === "node") return this.#holder.channel.hasEnded();
    return this.#holder.name === "addon" && this.#options.sockets.hasEnded(this.#options.id);
  }

  failureOfEnd(): SpipedError | undefined {
    return this.#holder.name === "node" ? this.#holder.channel.failureOfEnd() : undefined;
  }

  flowInto(sink: ByteSink): void {
    this.#asNodes().reader.flowInto(sink);
  }

  resume(): void {
    this.#asNodes().reader.resume();
  }

  resetOnDeath(resets: boolean): void {
    if (this.#holder.name === "node") this.#holder.channel.resetOnDeath(resets);
    if (this.#holder.name !== "addon" || resets === this.#resets) return;
    this.#resets = resets;
    this.#options.sockets.resetOnClose(this.#options.id, resets);
  }

  copyDescriptor(): DescriptorCopy | undefined {
    if (this.#holder.name === "node") return this.#holder.channel.copyDescriptor();
    if (this.#holder.name !== "addon") return undefined;
    return { take: () => this.#options.sockets.take(this.#options.id), close: () => undefined };
  }

  handOver(end: (resets: boolean) => void): void {
    this.settle();
    if (this.#holder.name === "node") this.#holder.channel.handOver(end);
    else this.#holder = { name: "relay", end };
    this.#arrived = [];
  }

  close(): void {
    this.#end(false);
  }

  reset(): void {
    this.#end(true);
  }

  ref(): void {
    // It keeps the program alive as long as it is open.
  }

  unref(): void {
    // As above: only programs that hold streams ask for it, and these hold other channels.
  }

  arrived(bytes: Uint8Array): void {
    this.#arrived = [...this.#arrived, bytes];
    const waiting = this.#waiting;
    this.#waiting = undefined;
    waiting?.resolve(bytes);
  }

  ended(arrivedBytes: number): void {
    const before = this.#arrived.reduce((sum, { length }) => sum + length, 0);
    const error = handshakeEndError("orderly", before + arrivedBytes, this.#options.exactLength);
    this.#waiting?.reject(error);
    this.#waiting = undefined;
  }

  failed(cause: unknown): void {
    const words = socketFailure(codeOf(cause) ?? "", messageOf(cause));
    this.fail(new SpipedError("SPIPED_RESET", words, { cause }));
  }

  #end(resets: boolean): void {
    this.settle();
    const holder = this.#holder;
    switch (holder.name) {
      case "addon":
        this.#holder = { name: "nobody" };
        this.#options.sockets.close(this.#options.id, resets);
        return;
      case "relay":
        holder.end(resets);
        return;
      case "node":
        if (resets) holder.channel.reset();
        else holder.channel.close();
        return;
      case "nobody":
    }
  }

  #asNodes(): SocketChannel {
    if (this.#holder.name === "node") return this.#holder.channel;
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
    this.#holder = { name: "node", channel };
    this.#arrived = [];
    return channel;
  }
}
