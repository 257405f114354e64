/**
 * A listening socket that can stop accepting and keep its backlog.
 *
 * Node's server cannot: while it listens it accepts. So the listening descriptor is made by the addon and stays open,
 * and the server works on a duplicate of it. Closing the server leaves the clients that have not been accepted where
 * they are, and the next server goes on with them.
 *
 * One that a service manager has handed over stays the manager's: nothing is set on it, and closing it here leaves it, its
 * backlog and its file where they are.
 *
 * On Windows, which has no such descriptors, the server listens itself, from `accept` on: while accepting is paused,
 * clients are refused instead of waiting.
 */

import { createServer, type ListenOptions, type Server } from "node:net";
import { codeOf, messageOf, SpipedError } from "../errors.js";
import { addon } from "../native/native.js";
import { pathBytes } from "../paths.js";
import { hasDescriptors } from "../platform.js";
import { takeHandles } from "./accept.js";
import type { AcceptHandlers } from "./accepted.js";
import { AddonListener } from "./addon-listener.js";
import { formatAddress, type SocketAddress } from "./address.js";
import type { InheritedSocket } from "./inherited-sockets.js";
import { resetOnClose } from "./native-socket.js";

/** Clients that may wait in the backlog; the system lowers it to its own limit. */
const BACKLOG = 1_024;

/**
 * A listening socket. `attach` takes it, `accept` begins or resumes accepting, `pause` leaves clients in the backlog,
 * `detach` gives it back for another owner, and `close` ends it. On Windows, clients are refused while it is paused.
 */
export class ListeningSocket {
  /** Undefined where the server listens itself. */
  #descriptor: number | undefined;
  /** Closes it; where a worker is terminated before, too. */
  #guard: DescriptorGuard | undefined;
  /** Undefined while nobody has it. */
  #handlers: AcceptHandlers | undefined;
  /** Undefined where it is no UNIX socket. */
  #file: SocketFile | undefined;
  /** Permissions of that file. */
  readonly #mode: number | undefined;
  /** Undefined where nobody else has the socket. */
  readonly #inherited: InheritedSocket | undefined;
  #server: Server | undefined;
  #addonListener: AddonListener | undefined;
  #address: SocketAddress;
  #resetOnDeath = false;
  #isLetGo = false;
  #closed = false;

  private constructor(address: SocketAddress, mode: number | undefined, made: Made) {
    this.#mode = mode;
    this.#descriptor = made.descriptor;
    this.#guard = made.descriptor === undefined ? undefined : new addon.DescriptorGuard(made.descriptor);
    this.#file = made.file;
    this.#inherited = made.inherited;
    this.#address = address;
  }

  /**
   * Binds and listens; clients wait in the backlog until somebody has attached and accepts.
   *
   * A UNIX socket's file that nobody answers on is replaced. Differs from spiped: there a restart fails on it.
   *
   * @param mode - Permissions of a UNIX socket's file; undefined leaves them to the umask.
   * @throws SpipedError `SPIPED_LISTEN`.
   */
  static listen(address: SocketAddress, mode: number | undefined): ListeningSocket {
    let made: Made;
    try {
      made = make(address, mode);
    } catch (cause) {
      throw cannotListen(address, cause);
    }
    return new ListeningSocket(address, mode, made);
  }

  /**
   * Gives the file of a UNIX socket to a user and a group; undefined leaves either as it is.
   *
   * @returns False where the system has no way to do that to this file and to no other.
   * @throws Error as the system does, where this process may not.
   */
  give(user: number | undefined, group: number | undefined): boolean {
    return this.#file?.give(user, group) ?? true;
  }

  /** Takes over what listens already, the first clients in its backlog included. */
  static inherit(inherited: InheritedSocket): ListeningSocket {
    const { descriptor, address } = inherited;
    return new ListeningSocket(address, undefined, { descriptor, file: undefined, inherited });
  }

  /**
   * Takes the socket: its clients come to `handlers` from now on. One at a time.
   *
   * @param resetOnDeath - Has clients see a reset where this process dies, from the moment at which they are accepted:
   *   accepted sockets inherit it from the listening one. What a client sees later is its channel's to say.
   * @throws SpipedError `SPIPED_STEP` where somebody has it.
   */
  attach(handlers: AcceptHandlers, resetOnDeath: boolean): void {
    if (this.#handlers !== undefined) throw new SpipedError("SPIPED_STEP", "this listening socket is taken already");
    if (this.#inherited !== undefined) {
      // Whatever others have set on the socket: nobody inherits it from there.
      const accepted: AcceptHandlers["accepted"] = (client) => {
        resetOnClose(client.socket, resetOnDeath);
        handlers.accepted(client);
      };
      this.#handlers = { ...handlers, accepted };
      return;
    }
    this.#handlers = handlers;
    this.#resetOnDeath = resetOnDeath;
    if (this.#descriptor !== undefined) addon.setResetOnClose(this.#descriptor, resetOnDeath);
  }

  /** Gives the socket back: clients wait in the backlog until somebody else attaches and accepts. */
  detach(): void {
    this.pause();
    this.#addonListener?.close();
    this.#addonListener = undefined;
    this.#handlers = undefined;
  }

  /** The address; with the port that the system chose, once `accept` has resolved. */
  get address(): SocketAddress {
    return this.#address;
  }

  /** Begins to accept, or goes on after `pause`. Harmless while it accepts. */
  async accept(): Promise<void> {
    const handlers = this.#handlers;
    if (this.#server !== undefined || this.#closed || handlers === undefined) return;
    this.listenAgain();
    if (this.#acceptWithAddon(handlers)) return;
    const server = createServer({ allowHalfOpen: true, pauseOnConnect: true });
    this.#server = server;
    try {
      await listening(server, this.#whereToListen());
    } catch (cause) {
      if (this.#server === server) this.#server = undefined;
      throw cannotListen(this.#address, cause);
    }
    if (this.#server !== server) return;
    server.on("error", (cause) => handlers.failed(cannotListen(this.#address, cause)));
    takeHandles(server, handlers);
    const bound = server.address();
    if (bound !== null && typeof bound !== "string") {
      this.#address = {
        kind: "tcp",
        family: bound.family === "IPv6" ? 6 : 4,
        address: bound.address,
        port: bound.port,
      };
    }
  }

  /** False where clients are to have sockets of Node's. */
  #acceptWithAddon(handlers: AcceptHandlers): boolean {
    if (this.#addonListener === undefined) {
      const { viaAddon } = handlers;
      const setup = this.#descriptor === undefined ? undefined : viaAddon?.setup();
      if (this.#descriptor === undefined || viaAddon === undefined || setup === undefined) return false;
      try {
        this.#addonListener = new AddonListener(
          addon.duplicate(this.#descriptor),
          { ...setup, shared: this.#inherited !== undefined },
          {
            clientsPerTurn: () => viaAddon.clientsPerTurn(),
            accepted: (client) => viaAddon.accepted(client),
            failed: (error) => handlers.failed(error),
          },
        );
        const bound = addon.localAddress(this.#descriptor);
        if (bound !== null && this.#address.kind === "tcp") this.#address = { ...this.#address, port: bound.port };
      } catch (cause) {
        throw cannotListen(this.#address, cause);
      }
    }
    this.#addonListener.accept();
    return true;
  }

  #whereToListen(): ListenOptions & { readonly fd?: number } {
    if (this.#descriptor !== undefined) return { fd: addon.duplicate(this.#descriptor) };
    if (this.#address.kind === "unix") throw new Error("a UNIX socket has a descriptor");
    const { address, port } = this.#address;
    return { host: address, port, backlog: BACKLOG, exclusive: true };
  }

  /** Stops accepting; further clients wait in the backlog. True where it accepted until now. */
  pause(): boolean {
    if (this.#addonListener !== undefined) return this.#addonListener.pause();
    const server = this.#server;
    this.#server = undefined;
    server?.close();
    return server !== undefined;
  }

  /**
   * Makes room for another socket where this one is in its way. Whoever has it keeps it, and clients are refused until
   * `listenAgain`. Not for one of a service manager.
   */
  letGo(): void {
    if (this.#closed || this.#isLetGo) return;
    this.#isLetGo = true;
    this.pause();
    this.#addonListener?.close();
    this.#addonListener = undefined;
    this.#guard?.close();
    this.#descriptor = undefined;
    this.#removeFile();
  }

  /**
   * Listens again where it was let go; `accept` does the same.
   *
   * @throws SpipedError `SPIPED_LISTEN`.
   */
  listenAgain(): void {
    if (!this.#isLetGo || this.#closed) return;
    let made: Made;
    try {
      made = make(this.#address, this.#mode);
    } catch (cause) {
      throw cannotListen(this.#address, cause);
    }
    this.#isLetGo = false;
    this.#descriptor = made.descriptor;
    this.#guard = made.descriptor === undefined ? undefined : new addon.DescriptorGuard(made.descriptor);
    this.#file = made.file;
    if (made.descriptor !== undefined) addon.setResetOnClose(made.descriptor, this.#resetOnDeath);
  }

  /** Closes the socket; clients in the backlog are refused, unless others have it too. A UNIX socket's file is removed if it is still ours. */
  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.pause();
    this.#addonListener?.close();
    this.#guard?.close();
    this.#inherited?.release();
    this.#removeFile();
  }

  #removeFile(): void {
    const file = this.#file;
    this.#file = undefined;
    try {
      file?.remove();
    } catch (cause) {
      const name = formatAddress(this.#address);
      this.#handlers?.failed(new SpipedError("SPIPED_LISTEN", `cannot remove ${name}: ${messageOf(cause)}`, { cause }));
    }
  }
}

function listening(server: Server, where: ListenOptions): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once("error", reject);
    server.listen(where, () => {
      server.off("error", reject);
      resolve();
    });
    // Closed before it listened: by `pause`, which needs no answer.
    server.once("close", resolve);
  });
}

type DescriptorGuard = InstanceType<typeof addon.DescriptorGuard>;
type SocketFile = InstanceType<typeof addon.SocketFile>;

/** What listens. */
interface Made {
  readonly descriptor: number | undefined;
  readonly file: SocketFile | undefined;
  readonly inherited: InheritedSocket | undefined;
}

function make(address: SocketAddress, mode: number | undefined): Made {
  if (address.kind === "unix") {
    const file = new addon.SocketFile(pathBytes(address.path));
    return { descriptor: file.listen(BACKLOG, mode), file, inherited: undefined };
  }
  const descriptor = hasDescriptors() ? addon.listenTcp(address.address, address.port, BACKLOG) : undefined;
  return { descriptor, file: undefined, inherited: undefined };
}

const HINTS: Readonly<Record<string, string>> = {
  EADDRINUSE: "another program listens there; stop it, or choose another address",
  EADDRNOTAVAIL: "listen on an address of this machine; [0.0.0.0] and [::] mean all of them",
  ENOENT: "make the folder first; RuntimeDirectory= does that in a systemd unit",
  EACCES: "ports below 1024 need root or CAP_NET_BIND_SERVICE, and a UNIX socket a folder that you may write to",
};

/** Why an address cannot be listened on, for the operator. */
export function cannotListen(address: SocketAddress, cause: unknown): SpipedError {
  const hint = HINTS[codeOf(cause) ?? ""];
  return new SpipedError(
    "SPIPED_LISTEN",
    `cannot listen on ${formatAddress(address)}: ${messageOf(cause)}`,
    hint === undefined ? { cause } : { cause, hint },
  );
}
