/**
 * All tunnels of a service, and what they share: the descriptors of the process and its log. Steps are taken for all of
 * them together, so that a mistake in one is known before any of them accepts.
 */

import { SpipedError } from "../errors.js";
import type { ConfigChanges, SocketOrigin, StartingTunnel } from "../flags/config-changes.js";
import { DescriptorBudget } from "../net/descriptors.js";
import type { InheritedSockets } from "../net/inherited-sockets.js";
import type { ListeningSocket } from "../net/listening-socket.js";
import type { resolve } from "../net/resolver.js";
import type { Log } from "../observe/log.js";
import type { TunnelState } from "../observe/state-entries.js";
import { ServedTunnel, type TunnelSettings } from "./served-tunnel.js";
import type { TunnelWatcher } from "./watcher.js";

/** What a supervisor is given besides its tunnels. */
export interface SupervisorOptions {
  readonly log: Log;
  /** What a service manager has handed over; the supervisor closes it. */
  readonly inherited: InheritedSockets;
  /** Undefined where nobody watches. */
  readonly watcher?: TunnelWatcher | undefined;
  /** Descriptors that are kept for something else than tunnels. */
  readonly reservedDescriptors?: number;
}

/** A socket that listens, a copy that is accepted from, and the folder of a UNIX socket. */
const DESCRIPTORS_PER_TUNNEL = 3;

/** See the head of this file. */
export class Supervisor {
  readonly #log: Log;
  readonly #inherited: InheritedSockets;
  readonly #watcher: TunnelWatcher | undefined;
  readonly #reservedDescriptors: number;
  #tunnels: readonly ServedTunnel[];
  /** Those that a change has ended, until their last connection has. */
  readonly #leaving = new Set<ServedTunnel>();
  #isEnding = false;
  #descriptors: DescriptorBudget | undefined;

  constructor(
    tunnels: readonly TunnelSettings[],
    { log, inherited, watcher, reservedDescriptors = 0 }: SupervisorOptions,
  ) {
    this.#log = log;
    this.#inherited = inherited;
    this.#watcher = watcher;
    this.#reservedDescriptors = reservedDescriptors;
    this.#tunnels = tunnels.map((settings) => new ServedTunnel(settings, log, watcher));
  }

  /** In the order in which they were named. */
  get tunnels(): readonly ServedTunnel[] {
    return this.#tunnels;
  }

  /** Connections that are open, of all tunnels. */
  get connections(): number {
    return this.#all.reduce((sum, { connections }) => sum + connections, 0);
  }

  get #all(): readonly ServedTunnel[] {
    return [...this.#tunnels, ...this.#leaving];
  }

  /** Looks the addresses of all tunnels up. */
  async lookUp(lookUp?: typeof resolve): Promise<void> {
    await Promise.all(this.#tunnels.map((one) => ofTunnel(one, one.lookUp(lookUp))));
  }

  /** Reads the keys of all tunnels, one after the other. */
  async readKeys(options?: Parameters<ServedTunnel["readKey"]>[0]): Promise<void> {
    for (const one of this.#tunnels) await ofTunnel(one, one.readKey(options));
  }

  /** Listens for all tunnels; clients wait in the backlog. */
  listen(): void {
    for (const one of this.#tunnels) this.#listen(one);
  }

  #listen(one: ServedTunnel, socket?: ListeningSocket): void {
    this.#descriptors ??= DescriptorBudget.measure(this.#reservedDescriptors);
    try {
      one.listen(this.#descriptors, this.#inherited, socket);
    } catch (error) {
      throw named(one, error);
    }
    // What was measured is from before the first of them.
    if (one.config.name !== undefined) this.#descriptors.book(DESCRIPTORS_PER_TUNNEL);
  }

  /** Begins to accept. */
  async start(): Promise<void> {
    await Promise.all(this.#tunnels.map((one) => ofTunnel(one, one.start())));
  }

  /** What it does, in a line for people. */
  get status(): string {
    const [first, ...others] = this.#tunnels;
    return first !== undefined && others.length === 0 ? first.status : `tunnels: ${this.#tunnels.length}`;
  }

  /** What each does at this moment, those too that only wait for their last connection. */
  describe(): readonly TunnelState[] {
    return this.#all.map((one) => one.describe());
  }

  /** Says where clients connect. */
  sayListening(): void {
    for (const one of this.#tunnels) one.sayListening();
  }

  /**
   * Has keys read again, and resolves when that has come to an end, whatever it is. Those of tunnels that have been told
   * to end, too, since a key that is gone may have opened their connections; not where nobody has their key file any more.
   *
   * @param names - Of the tunnels that go on; all where it is left out.
   */
  async reload(names?: readonly string[]): Promise<void> {
    const going = this.#tunnels.filter(({ config }) => names === undefined || names.includes(config.name ?? ""));
    const leaving = [...this.#leaving].filter(({ keyFile }) => this.#tunnels.some((one) => one.keyFile === keyFile));
    await Promise.all([...going, ...leaving].map((one) => one.reload()));
  }

  /**
   * Ends tunnels and starts others, while the rest go on. One that cannot start is told, and keeps nobody else from it;
   * where it was to replace another, that one goes on.
   *
   * @returns How many could not start.
   */
  async change({ ending, starting }: Pick<ConfigChanges, "ending" | "starting">): Promise<number> {
    const prepared = await Promise.all(starting.map((one) => this.#prepare(one)));
    const ready = prepared.filter((one) => one !== undefined);
    // Told to end meanwhile.
    if (this.#isEnding) {
      await Promise.all(ready.map(({ served }) => served.drain()));
      return 0;
    }
    const replaced = starting.map(({ tunnel }) => tunnel.config.name);
    const comingBack = new Set(ready.map(({ served }) => served.config.name));
    const leave = (name: string) => this.#leave(this.#named(name), { comesBack: comingBack.has(name) });
    const sockets = new Map<string, ListeningSocket | undefined>();
    for (const { socket } of ready) {
      if (socket.kind === "handed on") sockets.set(socket.from, this.#named(socket.from)?.release());
      if (socket.kind === "made anew") leave(socket.from);
    }
    for (const name of ending) if (!replaced.includes(name) || sockets.has(name)) leave(name);
    const started = ready.map(({ served, socket }) =>
      this.#begin(served, socket.kind === "handed on" ? sockets.get(socket.from) : undefined),
    );
    return starting.length - (await Promise.all(started)).filter((isStarted) => isStarted).length;
  }

  /** Everything that can fail without touching what runs. */
  async #prepare({ tunnel, socket }: StartingTunnel): Promise<Prepared | undefined> {
    const served = new ServedTunnel(tunnel, this.#log, this.#watcher);
    try {
      await ofTunnel(served, served.lookUp());
      await ofTunnel(served, served.readKey());
      return { served, socket };
    } catch (error) {
      await this.#giveUp(served, error);
      return undefined;
    }
  }

  /** Listens, at once, and then accepts. What ran by this name before is drained. */
  async #begin(served: ServedTunnel, handed: ListeningSocket | undefined): Promise<boolean> {
    try {
      this.#listen(served, handed);
      const old = this.#named(served.config.name);
      this.#tunnels = [...this.#tunnels, served];
      this.#leave(old);
      await ofTunnel(served, served.start());
      served.sayListening();
      return true;
    } catch (error) {
      if (this.#tunnels.includes(served)) this.#leave(served);
      await this.#giveUp(served, error);
      handed?.close();
      return false;
    }
  }

  /** Says why a tunnel does not start; what ran by its name goes on. */
  async #giveUp(served: ServedTunnel, error: unknown): Promise<void> {
    this.#log.error(error);
    const old = this.#named(served.config.name);
    if (old === undefined) this.#watcher?.remove(served.config);
    else this.#watcher?.add(old.config);
    await served.drain();
  }

  #named(name: string | undefined): ServedTunnel | undefined {
    return this.#tunnels.find(({ config }) => config.name === name);
  }

  /**
   * Has a tunnel go; it stays known until its last connection has ended.
   *
   * @param comesBack - Whether another one by its name is about to begin, which then goes on with its counters.
   */
  #leave(one: ServedTunnel | undefined, { comesBack = false }: { readonly comesBack?: boolean } = {}): void {
    if (one === undefined) return;
    this.#tunnels = this.#tunnels.filter((other) => other !== one);
    this.#leaving.add(one);
    if (!comesBack && this.#named(one.config.name) === undefined) this.#watcher?.remove(one.config);
    void one.drain().then(() => this.#leaving.delete(one));
    this.#descriptors?.book(-DESCRIPTORS_PER_TUNNEL);
  }

  /** Stops listening; resolves when the last connection has ended. */
  async drain(): Promise<void> {
    this.#isEnding = true;
    // Whoever manages them may have closed its own: then nobody is to wait for a process that only drains.
    this.#inherited.close();
    await Promise.all(this.#all.map((one) => one.drain()));
  }

  /** Resets what is open. */
  cancel(): void {
    for (const one of this.#all) one.cancel();
  }
}

interface Prepared {
  readonly served: ServedTunnel;
  readonly socket: SocketOrigin;
}

/** A step of a tunnel; where it fails, its error says whose it was. */
async function ofTunnel(one: ServedTunnel, step: Promise<void>): Promise<void> {
  try {
    await step;
  } catch (error) {
    throw named(one, error);
  }
}

function named({ label }: ServedTunnel, error: unknown): unknown {
  if (label === undefined || !(error instanceof SpipedError)) return error;
  const { code, message, hint } = error;
  return new SpipedError(code, `${label}: ${message}`, { cause: error, ...(hint === undefined ? {} : { hint }) });
}
