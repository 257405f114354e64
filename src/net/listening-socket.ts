/**
 * A listening socket that can stop accepting and keep its backlog.
 *
 * Node's server cannot do that: it accepts as long as it listens. So the addon creates the listening descriptor and keeps
 * it open, and the server works on a duplicate. Closing the server leaves the clients in the backlog, and the next server
 * accepts them.
 *
 * A socket passed by a service manager still belongs to the manager: its options are not changed, and closing it here
 * leaves the socket, its backlog and its file alone.
 *
 * Windows has no such descriptors. There, the server itself listens once `accept` is called, and clients are refused while
 * accepting is paused.
 *
 * Longer than most files because every change of the socket has to agree with the others on who owns its descriptor.
 */

import { createServer, type ListenOptions, type Server } from "node:net";
import { codeOf, SpipedError } from "../errors.js";
import { addon } from "../native/native.js";
import { pathBytes } from "../paths.js";
import { hasDescriptors } from "../platform.js";
import { systemReason } from "../system-reason.js";
import { takeHandles } from "./accept.js";
import type { AcceptHandlers } from "./accepted.js";
import { AddonListener } from "./addon-listener.js";
import { formatAddress, type SocketAddress } from "./address.js";
import type { InheritedSocket } from "./inherited-sockets.js";
import { resetOnClose } from "./native-socket.js";

/** The size of the backlog; the system reduces it to its own limit. */
const BACKLOG = 1_024;

/**
 * A listening socket. `attach` makes the caller its owner, `accept` starts or resumes accepting, `pause` leaves clients in
 * the backlog, `detach` frees it for another owner, and `close` closes it. On Windows, clients are refused while it is
 * paused.
 */
export class ListeningSocket {
  /** Undefined if the server itself listens. */
  #descriptor: number | undefined;
  /** Closes the descriptor, even if this worker thread is terminated. */
  #guard: DescriptorGuard | undefined;
  /** Undefined while the socket has no owner. */
  #handlers: AcceptHandlers | undefined;
  /** The file of a UNIX socket that was created here. */
  #file: SocketFile | undefined;
  /** Permissions of that file. */
  readonly #mode: number | undefined;
  /** Set if the socket belongs to a service manager. */
  readonly #inherited: InheritedSocket | undefined;
  #server: Server | undefined;
  #addonListener: AddonListener | undefined;
  #address: SocketAddress;
  #resetOnDeath = false;
  #isUnbound = false;
  #closed = false;

  private constructor(address: SocketAddress, mode: number | undefined, bound: Binding) {
    this.#mode = mode;
    this.#descriptor = bound.descriptor;
    this.#guard = bound.descriptor === undefined ? undefined : new addon.DescriptorGuard(bound.descriptor);
    this.#file = bound.file;
    this.#inherited = bound.inherited;
    this.#address = address;
  }

  /**
   * Binds and listens. Clients wait in the backlog until an owner attaches and accepts.
   *
   * Replaces the file of a UNIX socket that no longer has a listener. Differs from spiped: there a restart fails.
   *
   * @param mode - Permissions of a UNIX socket's file; undefined leaves them to the umask.
   * @throws SpipedError `SPIPED_LISTEN`.
   */
  static listen(address: SocketAddress, mode: number | undefined): ListeningSocket {
    let bound: Binding;
    try {
      bound = bind(address, mode);
    } catch (cause) {
      throw cannotListen(address, cause);
    }
    return new ListeningSocket(address, mode, bound);
  }

  /**
   * Changes the owner and group of a UNIX socket's file; undefined leaves either unchanged.
   *
   * @returns False if the system has no race-free way to do that to this file only.
   * @throws the system error, for example if this process is not allowed to.
   */
  give(user: number | undefined, group: number | undefined): boolean {
    return this.#file?.give(user, group) ?? true;
  }

  /** Wraps a socket that is already listening and may have clients in its backlog. */
  static inherit(inherited: InheritedSocket): ListeningSocket {
    const { descriptor, address } = inherited;
    return new ListeningSocket(address, undefined, { descriptor, file: undefined, inherited });
  }

  /**
   * Makes `handlers` the owner of the socket, which receives its clients from now on.
   *
   * @param resetOnDeath - Whether clients see a reset if this process dies, from the moment they are accepted: accepted
   *   sockets inherit this from the listening socket. Their channels can change it later.
   * @throws SpipedError `SPIPED_STEP` if the socket has an owner.
   */
  attach(handlers: AcceptHandlers, resetOnDeath: boolean): void {
    if (this.#handlers !== undefined) throw new SpipedError("SPIPED_STEP", "this listening socket is taken already");
    if (this.#inherited !== undefined) {
      // The shared socket's options are left alone, so each client gets its own.
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

  /** Frees the socket: clients wait in the backlog until another owner attaches and accepts. */
  detach(): void {
    this.pause();
    this.#addonListener?.close();
    this.#addonListener = undefined;
    this.#handlers = undefined;
  }

  /** The address. Once `accept` has resolved, it has the port that the system chose. */
  get address(): SocketAddress {
    return this.#address;
  }

  /** Starts or resumes accepting. Does nothing if already accepting. */
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

  /** Returns false if clients get Node sockets. */
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

  /**
   * Stops accepting; new clients wait in the backlog.
   *
   * @returns Whether it was accepting.
   */
  pause(): boolean {
    if (this.#addonListener !== undefined) return this.#addonListener.pause();
    const server = this.#server;
    this.#server = undefined;
    server?.close();
    return server !== undefined;
  }

  /**
   * Releases the address for another socket. The owner stays the same, and clients are refused until `listenAgain`. Not
   * for sockets of a service manager.
   */
  unbind(): void {
    if (this.#closed || this.#isUnbound) return;
    this.#isUnbound = true;
    this.pause();
    this.#addonListener?.close();
    this.#addonListener = undefined;
    this.#guard?.close();
    this.#descriptor = undefined;
    this.#removeFile();
  }

  /**
   * Listens again after `unbind`; `accept` does the same.
   *
   * @throws SpipedError `SPIPED_LISTEN`.
   */
  listenAgain(): void {
    if (!this.#isUnbound || this.#closed) return;
    let bound: Binding;
    try {
      bound = bind(this.#address, this.#mode);
    } catch (cause) {
      throw cannotListen(this.#address, cause);
    }
    this.#isUnbound = false;
    this.#descriptor = bound.descriptor;
    this.#guard = bound.descriptor === undefined ? undefined : new addon.DescriptorGuard(bound.descriptor);
    this.#file = bound.file;
    if (bound.descriptor !== undefined) addon.setResetOnClose(bound.descriptor, this.#resetOnDeath);
  }

  /**
   * Closes the socket. Clients in the backlog are refused, unless the socket belongs to a service manager. The file of a
   * UNIX socket is removed if it is still the one that was created here.
   */
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
      this.#handlers?.failed(
        new SpipedError("SPIPED_LISTEN", `cannot remove ${name}: ${systemReason(cause)}`, { cause }),
      );
    }
  }
}

function listening(server: Server, where: ListenOptions): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once("error", reject);
    // Next to a descriptor, Node.js takes the backlog from this position only.
    server.listen(where, BACKLOG, () => {
      server.off("error", reject);
      resolve();
    });
    // `pause` may close it before it listens.
    server.once("close", resolve);
  });
}

type DescriptorGuard = InstanceType<typeof addon.DescriptorGuard>;
type SocketFile = InstanceType<typeof addon.SocketFile>;

/** What `bind` creates. */
interface Binding {
  readonly descriptor: number | undefined;
  readonly file: SocketFile | undefined;
  readonly inherited: InheritedSocket | undefined;
}

function bind(address: SocketAddress, mode: number | undefined): Binding {
  if (address.kind === "unix") {
    const file = new addon.SocketFile(pathBytes(address.path));
    return { descriptor: file.listen(BACKLOG, mode), file, inherited: undefined };
  }
  const descriptor = hasDescriptors() ? addon.listenTcp(address.address, address.port, BACKLOG) : undefined;
  return { descriptor, file: undefined, inherited: undefined };
}

const HINTS: Readonly<Record<string, string>> = {
  EADDRINUSE: "another program, or an earlier start of this one, listens there; stop it, or choose another address",
  EADDRNOTAVAIL: "listen on an address of this machine; [0.0.0.0] and [::] mean all of them",
  ENOENT: "create the folder first; in a systemd unit, RuntimeDirectory= does that",
  EACCES: "ports below 1024 need root or CAP_NET_BIND_SERVICE; a UNIX socket needs a writable folder",
};

function reasonOf({ kind }: SocketAddress, cause: unknown): string {
  return kind === "unix" && codeOf(cause) === "ENOENT" ? "there is no such folder" : systemReason(cause);
}

/** The error when an address cannot be listened on. */
export function cannotListen(address: SocketAddress, cause: unknown): SpipedError {
  const hint = HINTS[codeOf(cause) ?? ""];
  return new SpipedError(
    "SPIPED_LISTEN",
    `cannot listen on ${formatAddress(address)}: ${reasonOf(address, cause)}`,
    hint === undefined ? { cause } : { cause, hint },
  );
}
