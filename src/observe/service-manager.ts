/**
 * What a service manager is told: that the program is ready, reads its files again, stops, and how it is meanwhile.
 * Datagrams to the socket that `NOTIFY_SOCKET` names. Without it nothing is said; a manager that is gone, full or not one
 * at all costs one warning and nothing else.
 *
 * Source: sd_notify(3).
 */

import { codeOf, messageOf } from "../errors.js";
import { addon } from "../native/native.js";
import { pathBytes } from "../paths.js";
import { printable } from "./format.js";

/** What the socket answers when it has no room. */
const FULL = ["EAGAIN", "ENOBUFS"];

/** So soon is tried again, and so many messages wait for that. */
const RETRY_MS = 100;
const MOST_WAITING = 16;

const MOST_STATUS_CHARACTERS = 500;

/** Sends whole messages. */
export interface NotifyChannel {
  send(message: Uint8Array): void;
}

/** See the head of this file. */
export class ServiceManager {
  readonly #channel: NotifyChannel | undefined;
  readonly #warn: (text: string) => void;
  readonly #waiting: Uint8Array[] = [];
  #retry: NodeJS.Timeout | undefined;
  #hasWarned = false;
  #isStopping = false;

  constructor(channel: NotifyChannel | undefined, warn: (text: string) => void) {
    this.#channel = channel;
    this.#warn = warn;
  }

  /**
   * Tells whoever listens at `socket`.
   *
   * @param socket - A path, or `@` and the name of an abstract socket; undefined for nobody.
   */
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
   * The program does what it is there for.
   *
   * @param mainProcess - Where it is another process than the manager has started.
   */
  ready(status: string, mainProcess?: number): void {
    if (this.#isStopping) return;
    this.#tell([...(mainProcess === undefined ? [] : [`MAINPID=${mainProcess}`]), "READY=1", statusLine(status)]);
  }

  /** It reads its files again; `ready` ends that. */
  reloading(): void {
    // The clock that the manager means, CLOCK_MONOTONIC, is this one.
    const microseconds = process.hrtime.bigint() / 1_000n;
    if (!this.#isStopping) this.#tell(["RELOADING=1", `MONOTONIC_USEC=${microseconds}`]);
  }

  stopping(status: string): void {
    this.#isStopping = true;
    this.#tell(["STOPPING=1", statusLine(status)]);
  }

  /** How it is, for people. */
  status(text: string): void {
    this.#tell([statusLine(text)]);
  }

  #tell(lines: readonly string[]): void {
    if (this.#channel === undefined) return;
    this.#waiting.push(Buffer.from(lines.join("\n")));
    if (this.#waiting.length > MOST_WAITING) this.#waiting.shift();
    if (this.#retry === undefined) this.#flush(this.#channel);
  }

  /** In order: what cannot be sent yet holds back what comes behind it. */
  #flush(channel: NotifyChannel): void {
    this.#retry = undefined;
    for (let next = this.#waiting[0]; next !== undefined; next = this.#waiting[0]) {
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
      this.#waiting.shift();
    }
  }
}

function notifyPath(socket: string): Uint8Array {
  if (/^\/./.test(socket)) return pathBytes(socket);
  if (/^@./.test(socket)) return Buffer.concat([Buffer.from([0]), pathBytes(socket.slice(1))]);
  throw new Error(`NOTIFY_SOCKET is neither an absolute path nor @ and a name: ${JSON.stringify(socket)}`);
}

function statusLine(text: string): string {
  return `STATUS=${printable(text).slice(0, MOST_STATUS_CHARACTERS)}`;
}

function cannotNotify(error: unknown): string {
  return `cannot notify the service manager: ${messageOf(error)}`;
}
