// One connection under test: the accepted side is a real socket whose other end the test has, and the target is a
// listener of the test's.

import { once } from "node:events";
import { connect } from "node:net";
import type { TestContext } from "node:test";
import type { SpipedError } from "#dist/errors.js";
import type { SocketAddress } from "#dist/net/address.js";
import type { ByteReader } from "#dist/net/byte-reader.js";
import { type Channel, SocketChannel } from "#dist/net/channel.js";
import { DescriptorBudget } from "#dist/net/descriptors.js";
import type { SocketEnds } from "#dist/net/proxy-header.js";
import { SocketReader } from "#dist/net/socket-reader.js";
import { HANDSHAKE_BYTES } from "#dist/protocol/constants.js";
import { KeyRing } from "#dist/protocol/key-ring.js";
import { Connection, type ConnectionOptions } from "#dist/tunnel/connection.js";
import { cleartextMemory, packetMemory } from "#dist/tunnel/memory.js";
import type { ConnectionReport } from "#dist/tunnel/reports.js";
import { dialedTarget } from "#dist/tunnel/target.js";
import { type Address, socketOptionsOf } from "../../support/addresses.js";
import { afterwards, within } from "../../support/cleanup.js";
import { Listener } from "../../support/listener.js";
import type { TestSocket } from "../../support/test-socket.js";
import { sharedKeyOf } from "./handshakes.js";

/** The contents of both ends' key file. */
export const keyFile: Uint8Array = Buffer.from("both ends have this key");
/** Far more than any test takes; tests that let it expire mock the clock. */
export const timeoutMs = 60_000;

/** A channel that records calls. */
export class RecordingChannel implements Channel {
  readonly calls: Array<"close" | "reset"> = [];
  /** What the other side would see if the process died, in order. */
  readonly deaths: Array<"reset" | "end"> = [];
  readonly #inner: Channel;
  #listener: ((error: SpipedError) => void) | undefined;

  constructor(inner: Channel) {
    this.#inner = inner;
  }

  get reader(): ByteReader {
    return this.#inner.reader;
  }

  get writable() {
    return this.#inner.writable;
  }

  get peer(): string {
    return this.#inner.peer;
  }

  ends(): SocketEnds | undefined {
    return this.#inner.ends?.();
  }

  onFailure(listener: (error: SpipedError) => void): void {
    this.#listener = listener;
    this.#inner.onFailure(listener);
  }

  peek(length: number): Uint8Array {
    return this.#inner.peek?.(length) ?? new Uint8Array();
  }

  hasEnded(): boolean {
    return this.#inner.hasEnded?.() ?? false;
  }

  failureOfEnd(): SpipedError | undefined {
    return this.#inner.failureOfEnd?.();
  }

  resetOnDeath(resets: boolean): void {
    this.deaths.push(resets ? "reset" : "end");
    this.#inner.resetOnDeath?.(resets);
  }

  close(): void {
    this.calls.push("close");
    this.#inner.close();
  }

  reset(): void {
    this.calls.push("reset");
    this.#inner.reset();
  }

  /** Makes this side fail, without any trace on its socket. */
  fail(error: SpipedError): void {
    this.#listener?.(error);
  }
}

/** A connection under test. */
export interface Running {
  readonly connection: Connection;
  /** The accepted side as seen by the connection. */
  readonly source: RecordingChannel;
  /** The accepted side as seen by the client. */
  readonly dialer: TestSocket;
  /** Reports so far; there must never be two. */
  readonly reports: readonly ConnectionReport[];
  report(): Promise<ConnectionReport>;
}

/** Begins a connection to `targets`. */
export async function runConnection(
  t: TestContext,
  role: "encrypt" | "decrypt",
  targets: readonly SocketAddress[],
  options: Partial<ConnectionOptions> & { readonly kind?: "tcp" | "unix" } = {},
): Promise<Running> {
  const { source, dialer } = await acceptedChannel(t, role, options.kind ?? "tcp");
  const reports: ConnectionReport[] = [];
  let tell: (report: ConnectionReport) => void = () => undefined;
  const told = new Promise<ConnectionReport>((resolve) => {
    tell = resolve;
  });
  const { kind: _kind, ...others } = options;
  const key = sharedKeyOf(keyFile);
  const connection = new Connection({
    role,
    source,
    target: dialedTarget({
      addresses: targets,
      name: "target.example:80",
      bind: undefined,
      timeoutMs: options.timeoutMs ?? timeoutMs,
      keepAlive: true,
      descriptors: new DescriptorBudget(Number.POSITIVE_INFINITY),
    }),
    keys: () => KeyRing.of(key).offer,
    forwardSecrecy: "off",
    timeoutMs,
    endWithTarget: false,
    ended: (report) => {
      reports.push(report);
      tell(report);
    },
    ...others,
  });
  afterwards(t, () => connection.cancel());
  return { connection, source, dialer, reports, report: () => within(told, "the end of the connection") };
}

async function acceptedChannel(
  t: TestContext,
  role: "encrypt" | "decrypt",
  kind: "tcp" | "unix",
): Promise<{ readonly source: RecordingChannel; readonly dialer: TestSocket }> {
  const listener = await Listener.listen(t, kind);
  const { readBuffer } = role === "encrypt" ? cleartextMemory : packetMemory;
  const reader = new SocketReader(readBuffer, role === "encrypt" ? 0 : HANDSHAKE_BYTES);
  const address = socketOptionsOf(listener.address);
  const socket = connect({ ...address, allowHalfOpen: true, onread: reader.onread }).pause();
  afterwards(t, () => socket.destroy());
  await once(socket, "connect");
  const channel = new SocketChannel(socket, reader, "somebody");
  reader.attach(socket);
  const dialer = await listener.next();
  listener.close();
  return { source: new RecordingChannel(channel), dialer };
}

/** A test's address as the product takes it. */
export function socketAddressOf(address: Address): SocketAddress {
  if (address.kind === "unix") return address;
  return { kind: "tcp", family: address.host === "::1" ? 6 : 4, address: address.host, port: address.port };
}
