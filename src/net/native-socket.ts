/**
 * Socket features that Node lacks: a reset when the process dies, fast detection of dead peers, the identity of a peer.
 *
 * They need the socket's descriptor, which is an undocumented property. If it is not known (on Windows, for example), the
 * functions here do what Node can, or nothing. Failed system calls are ignored: they mostly mean that the socket was reset,
 * which its reader finds out anyway.
 */

import { closeSync } from "node:fs";
import type { Socket } from "node:net";
import { addon } from "../native/native.js";
import type { TcpEnd } from "./proxy-header.js";

/** TCP keep-alive: the idle time before the first probe, the interval between probes, and their number. */
export const KEEP_ALIVE = { idleSeconds: 60, intervalSeconds: 10, probes: 6 } as const;

/** A socket's descriptor; undefined if it is not known, or closed. */
export function descriptorOf(socket: Socket): number | undefined {
  const handle: unknown = Reflect.get(socket, "_handle");
  if (typeof handle !== "object" || handle === null || !("fd" in handle)) return undefined;
  const descriptor = handle.fd;
  return typeof descriptor === "number" && descriptor >= 0 ? descriptor : undefined;
}

/**
 * Sets whether closing a TCP socket resets the connection, also when the system closes it because the process died.
 *
 * @returns Whether the system supports it.
 */
export function resetOnClose(socket: Socket, resets: boolean): boolean {
  return ask(socket, (descriptor) => addon.setResetOnClose(descriptor, resets)) !== undefined;
}

/** Whether the peer has ended its stream or is gone, with no data left to read; false if that is not known. */
export function hasEnded(socket: Socket): boolean {
  return ask(socket, (descriptor) => addon.hasEnded(descriptor))?.answer ?? false;
}

/** Duplicates the socket's descriptor; undefined if it is not known. */
export function duplicate(socket: Socket): { take(): number; close(): void } | undefined {
  const copy = ask(socket, (descriptor) => addon.duplicate(descriptor))?.answer;
  return copy === undefined ? undefined : { take: () => copy, close: () => closeSync(copy) };
}

/**
 * Enables detection of dead peers: the connection fails after two minutes of silence, whether it is idle or has
 * unacknowledged data. Differs from spiped: there the system's defaults apply, on Linux two hours for an idle connection
 * and 15 minutes for one with unacknowledged data.
 */
export function keepAlive(socket: Socket): void {
  const { idleSeconds, intervalSeconds, probes } = KEEP_ALIVE;
  socket.setKeepAlive(true, idleSeconds * 1_000);
  ask(socket, (descriptor) => addon.setKeepAlive(descriptor, idleSeconds, intervalSeconds, probes));
  watchForDeadPeer(socket);
}

/** How often to check that the peer acknowledges data. */
const DEAD_PEER_CHECK_MS = 10_000;

/**
 * Destroys the socket if its peer stops acknowledging data. TCP keep-alive only covers idle connections. The relay does
 * the same for its connections.
 */
function watchForDeadPeer(socket: Socket): void {
  // Missing on Windows.
  if (addon.DeadPeerDetector === undefined) return;
  const detector = new addon.DeadPeerDetector();
  const timer = setInterval(() => {
    if (ask(socket, (descriptor) => detector.isDead(descriptor))?.answer !== true) return;
    socket.destroy(Object.assign(new Error("connection timed out"), { code: "ETIMEDOUT" }));
  }, DEAD_PEER_CHECK_MS);
  timer.unref();
  socket.once("close", () => clearInterval(timer));
}

/** A printable name of the peer: `[address]:port`, or the user of a UNIX socket. Never a local address. */
export function describePeer(socket: Socket): string {
  const { remoteAddress, remotePort } = socket;
  if (remoteAddress !== undefined && remotePort !== undefined) return `[${remoteAddress}]:${remotePort}`;
  const tcp = ask(socket, (descriptor) => addon.peerAddress(descriptor))?.answer;
  if (tcp) return `[${tcp.address}]:${tcp.port}`;
  const unix = ask(socket, (descriptor) => addon.unixPeer(descriptor))?.answer;
  if (!unix) return "unknown";
  return unix.pid === undefined ? `uid ${unix.uid}` : `uid ${unix.uid} (pid ${unix.pid})`;
}

/** The local address of an accepted socket; undefined if the system no longer knows it. */
export function localEnd(socket: Socket): TcpEnd | "unix" | undefined {
  const { localAddress, localPort } = socket;
  if (localAddress !== undefined && localPort !== undefined) return { address: localAddress, port: localPort };
  const asked = ask(socket, (descriptor) => addon.localAddress(descriptor));
  return asked && (asked.answer ?? "unix");
}

/** Makes a system call; undefined if the descriptor is not known or the call fails. */
function ask<T>(socket: Socket, call: (descriptor: number) => T): { readonly answer: T } | undefined {
  const descriptor = descriptorOf(socket);
  if (descriptor === undefined) return undefined;
  try {
    return { answer: call(descriptor) };
  } catch {
    // Mostly because the socket was reset; its reader gets that error.
    return undefined;
  }
}
