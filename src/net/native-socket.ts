/**
 * What the system can do for a socket and Node does not offer: what the other side sees when the process dies, how soon
 * a dead peer is noticed, who the peer is.
 *
 * The number of a socket's descriptor is not documented. Where it is not known (on Windows, say), everything here does
 * what Node can, or nothing. A system call that fails costs nothing but its own effect: a socket that has been reset
 * refuses most of them, and whoever reads from it will learn of that.
 */

import { closeSync } from "node:fs";
import type { Socket } from "node:net";
import { addon } from "../native/native.js";
import type { TcpEnd } from "./proxy-header.js";

/** Silence after which the other side is asked whether it is still there, and how it is asked. */
export const KEEP_ALIVE = { idleSeconds: 60, intervalSeconds: 10, probes: 6 } as const;

/** The number of a socket's descriptor; undefined where it is not known, or closed. */
export function descriptorOf(socket: Socket): number | undefined {
  const handle: unknown = Reflect.get(socket, "_handle");
  if (typeof handle !== "object" || handle === null || !("fd" in handle)) return undefined;
  const descriptor = handle.fd;
  return typeof descriptor === "number" && descriptor >= 0 ? descriptor : undefined;
}

/**
 * From now on the other side of a TCP connection sees a reset when the socket is closed, by whomever: by this program,
 * or by the system when the process has died. Or, with false, an orderly end once more.
 *
 * @returns Whether the system does.
 */
export function resetOnClose(socket: Socket, resets: boolean): boolean {
  return ask(socket, (descriptor) => addon.setResetOnClose(descriptor, resets)) !== undefined;
}

/** Whether the other side has ended its stream or is lost, and has left nothing to read; false where nobody knows. */
export function hasEnded(socket: Socket): boolean {
  return ask(socket, (descriptor) => addon.hasEnded(descriptor))?.answer ?? false;
}

/** A second descriptor of the socket; undefined where the first is not known. */
export function duplicate(socket: Socket): { take(): number; close(): void } | undefined {
  const copy = ask(socket, (descriptor) => addon.duplicate(descriptor))?.answer;
  return copy === undefined ? undefined : { take: () => copy, close: () => closeSync(copy) };
}

/**
 * Has it noticed after two minutes of silence that the other side is gone, whether or not something is on the way to it.
 * Differs from spiped: there the system's own times hold, on Linux two hours for an idle connection and a quarter of an
 * hour for another.
 */
export function keepAlive(socket: Socket): void {
  const { idleSeconds, intervalSeconds, probes } = KEEP_ALIVE;
  socket.setKeepAlive(true, idleSeconds * 1_000);
  ask(socket, (descriptor) => addon.setKeepAlive(descriptor, idleSeconds, intervalSeconds, probes));
  watchForDeadPeer(socket);
}

/** How often it is asked whether the other side acknowledges what it is sent. */
const DEAD_PEER_CHECK_MS = 10_000;

/** What the system does for an idle connection only. The relay does the same for those that it has. */
function watchForDeadPeer(socket: Socket): void {
  // Not on Windows.
  if (addon.DeadPeerDetector === undefined) return;
  const vigil = new addon.DeadPeerDetector();
  const timer = setInterval(() => {
    if (ask(socket, (descriptor) => vigil.isDead(descriptor))?.answer !== true) return;
    socket.destroy(Object.assign(new Error("connection timed out"), { code: "ETIMEDOUT" }));
  }, DEAD_PEER_CHECK_MS);
  timer.unref();
  socket.once("close", () => clearInterval(timer));
}

/** Who has connected, for people: `[address]:port`, or the user behind a UNIX socket; never an address of ours. */
export function describePeer(socket: Socket): string {
  const { remoteAddress, remotePort } = socket;
  if (remoteAddress !== undefined && remotePort !== undefined) return `[${remoteAddress}]:${remotePort}`;
  const tcp = ask(socket, (descriptor) => addon.peerAddress(descriptor))?.answer;
  if (tcp) return `[${tcp.address}]:${tcp.port}`;
  const unix = ask(socket, (descriptor) => addon.unixPeer(descriptor))?.answer;
  if (!unix) return "unknown";
  return unix.pid === undefined ? `uid ${unix.uid}` : `uid ${unix.uid} (pid ${unix.pid})`;
}

/** Where a socket was accepted; undefined where the system no longer knows. */
export function localEnd(socket: Socket): TcpEnd | "unix" | undefined {
  const { localAddress, localPort } = socket;
  if (localAddress !== undefined && localPort !== undefined) return { address: localAddress, port: localPort };
  const asked = ask(socket, (descriptor) => addon.localAddress(descriptor));
  return asked && (asked.answer ?? "unix");
}

/** Undefined where the descriptor is not known, or the system refuses. */
function ask<T>(socket: Socket, call: (descriptor: number) => T): { readonly answer: T } | undefined {
  const descriptor = descriptorOf(socket);
  if (descriptor === undefined) return undefined;
  try {
    return { answer: call(descriptor) };
  } catch {
    // A socket that was reset refuses most calls; whoever reads from it learns of the reset.
    return undefined;
  }
}
