/**
 * Notifies the service manager: ready, reloading, stopping, and status. Sends datagrams to the socket in `NOTIFY_SOCKET`,
 * and nothing without it. If the socket is missing or broken, one warning is logged.
 *
 * Source: sd_notify(3).
 */

import { codeOf } from "../errors.js";
import { addon } from "../native/native.js";
import { pathBytes } from "../paths.js";
import { systemReason } from "../system-reason.js";
import { printable } from "./format.js";

/** Error codes of a full socket. */
const FULL = ["EAGAIN", "ENOBUFS"];

/** How soon to retry when the socket is full, and how many messages to queue meanwhile. */
const RETRY_MS = 100;
const MAX_QUEUED = 16;

const MAX_STATUS_CHARACTERS = 500;

/** Sends one datagram; throws if it cannot. */
export interface NotifyChannel {
  send(message: Uint8Array): void;
}

/** Sends notifications, in order and without blocking. */
export class ServiceManager {
  readonly #channel: NotifyChannel | undefined;
  readonly #warn: (text: string) => void;
  readonly #queue: Uint8Array[] = [];
  #retry: NodeJS.Timeout | undefined;
  #hasWarned = false;
  #isStopping = false;

  constructor(channel: NotifyChannel | undefined, warn: (text: string) => void) {
    this.#channel = channel;
    this.#warn = warn;
  }

  /** @param socket - A path, or `@` and the name of an abstract socket; undefined sends nothing. */
  static at(socket: string | undefined, warn: (text: string) => void): ServiceManager {
    if (socket === undefined || !("NotifySocket" in addon)) return new ServiceManager(undefined, warn);
    try {
      return new ServiceManager(new addon.NotifySocket(notifyPath(socket)), warn);
    } catch (error) {
      warn(cannotNotify(error));
      return new ServiceManager(undefined, warn);
    }
  }

  /**
   * The service is up, or a reload is complete.
   *
   * @param mainProcess - The main process, if it is not the one that the manager started.
   */
  ready(status: string, mainProcess?: number): void {
    if (this.#isStopping) return;
    this.#tell([...(mainProcess === undefined ? [] : [`MAINPID=${mainProcess}`]), "READY=1", statusLine(status)]);
  }

  /** A reload begins; `ready` ends it. */
  reloading(): void {
    // hrtime is CLOCK_MONOTONIC, which the manager expects.
    const microseconds = process.hrtime.bigint() / 1_000n;
    if (!this.#isStopping) this.#tell(["RELOADING=1", `MONOTONIC_USEC=${microseconds}`]);
  }

  stopping(status: string): void {
    this.#isStopping = true;
    this.#tell(["STOPPING=1", statusLine(status)]);
  }

  /** Sets the status text, which `systemctl status` shows. */
  status(text: string): void {
    this.#tell([statusLine(text)]);
  }

  #tell(lines: readonly string[]): void {
    if (this.#channel === undefined) return;
    this.#queue.push(Buffer.from(lines.join("\n")));
    if (this.#queue.length > MAX_QUEUED) this.#queue.shift();
    if (this.#retry === undefined) this.#flush(this.#channel);
  }

  /** Sends the queue in order, until the socket is full. */
  #flush(channel: NotifyChannel): void {
    this.#retry = undefined;
    for (let next = this.#queue[0]; next !== undefined; next = this.#queue[0]) {
      try {
        channel.send(next);
      } catch (error) {
        if (FULL.includes(codeOf(error) ?? "")) {
          this.#retry = setTimeout(() => this.#flush(channel), RETRY_MS).unref();
          return;
        }
        if (!this.#hasWarned) this.#warn(cannotNotify(error));
        this.#hasWarned = true;
      }
      this.#queue.shift();
    }
  }
}

function notifyPath(socket: string): Uint8Array {
  if (/^\/./.test(socket)) return pathBytes(socket);
  if (/^@./.test(socket)) return Buffer.concat([Buffer.from([0]), pathBytes(socket.slice(1))]);
  throw new Error(`NOTIFY_SOCKET is neither an absolute path nor @ and a name: ${JSON.stringify(socket)}`);
}

function statusLine(text: string): string {
  return `STATUS=${printable(text).slice(0, MAX_STATUS_CHARACTERS)}`;
}

function cannotNotify(error: unknown): string {
  return `cannot notify the service manager: ${systemReason(error)}`;
}
