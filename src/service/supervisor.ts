/**
 * All tunnels of a service, and what they share: the descriptors of the process and its log. Steps are taken for all of
 * them together, so that a mistake in one is known before any of them accepts.
 */

import { RELOAD_LIMIT_MS } from "../config/key-file.js";
import { SpipedError } from "../errors.js";
import type { ConfigChanges } from "../flags/config-changes.js";
import { DescriptorBudget } from "../net/descriptors.js";
import type { InheritedSockets } from "../net/inherited-sockets.js";
import type { ListeningSocket } from "../net/listening-socket.js";
import type { resolve } from "../net/resolver.js";
import { counted } from "../observe/counted.js";
import type { Log } from "../observe/log.js";
import { oldConnectionsCutEntry } from "../observe/service-entries.js";
import type { TunnelState } from "../observe/state-entries.js";
import { ServedTunnel, type TunnelSettings } from "./served-tunnel.js";
import { SocketChange } from "./socket-change.js";
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
  /** How long connections may go on of tunnels that a change has ended; `Infinity` for no limit. */
  readonly drainTimeoutMs?: number;
}

/** What a change has come to. */
export type ChangeOutcome =
  /** `failed`: how many listen and cannot accept, which is an end. */
  | { readonly kind: "changed"; readonly failed: number }
  /** `failures`: how many have been told; none where the end has come before. */
  | { readonly kind: "nothing changed"; readonly failures: number };

/** A socket that listens, a copy that is accepted from, and the folder of a UNIX socket. */
const DESCRIPTORS_PER_TUNNEL = 3;

/** See the head of this file. */
export class Supervisor {
  readonly #log: Log;
  readonly #inherited: InheritedSockets;
  readonly #watcher: TunnelWatcher | undefined;
  readonly #reservedDescriptors: number;
  readonly #drainTimeoutMs: number;
  #tunnels: readonly ServedTunnel[];
  /** Those that a change has ended, until their last connection has. */
  readonly #leaving = new Set<ServedTunnel>();
  #isEnding = false;
  #descriptors: DescriptorBudget | undefined;

  constructor(
    tunnels: readonly TunnelSettings[],
    { log, inherited, watcher, reservedDescriptors = 0, drainTimeoutMs = Infinity }: SupervisorOptions,
  ) {
    this.#log = log;
    this.#inherited = inherited;
    this.#watcher = watcher;
    this.#reservedDescriptors = reservedDescriptors;
    this.#drainTimeoutMs = drainTimeoutMs;
    this.#tunnels = tunnels.map((settings) => new ServedTunnel(settings, log, watcher));
    for (const { config } of this.#tunnels) watcher?.add(config);
  }

  /** In the order in which they were named. */
  get tunnels(): readonly ServedTunnel[] {
    return this.#tunnels;
  }

  /** Whether it has been told to end. */
  get isEnding(): boolean {
    return this.#isEnding;
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
    return first !== undefined && others.length === 0 ? first.status : counted(this.#tunnels.length, "tunnel");
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
   * Ends tunnels and starts others, while the rest go on: all of it or nothing. Look-ups and keys come first, then every
   * new socket; only when all listen is anything changed.
   */
  async change({ ending, starting }: Pick<ConfigChanges, "ending" | "starting">): Promise<ChangeOutcome> {
    const served = starting.map((tunnel) => new ServedTunnel(tunnel, this.#log, this.#watcher));
    const failures = (await Promise.all(served.map((one) => this.#prepare(one)))).flat();
    if (failures.length > 0 || this.#isEnding) return this.#giveUp(served, failures);
    const isEnding = ({ config }: ServedTunnel) => ending.includes(config.name ?? "");
    const leaving = this.#tunnels.filter(isEnding);
    const staying = this.#tunnels.filter((one) => !isEnding(one));
    const sockets = new SocketChange({ starting: served, ending: leaving, staying, inherited: this.#inherited });
    const notListening = sockets.listen();
    if (notListening.length > 0) {
      return this.#giveUp(
        served,
        notListening.map(({ tunnel, error }) => named(tunnel, error)),
      );
    }
    for (const one of served) this.#listen(one, sockets.take(one));
    this.#tunnels = [...this.#tunnels, ...served];
    for (const one of leaving) this.#leave(one);
    const started = await Promise.all(served.map((one) => this.#begin(one)));
    return { kind: "changed", failed: started.filter((isStarted) => !isStarted).length };
  }

  /**
   * As `change`, but of tunnels that wait for their addresses and do not listen yet: of those that start, the keys are read.
   *
   * @param isWaiting - Whether they still do, when keys have been read.
   */
  async replace(
    { ending, starting }: Pick<ConfigChanges, "ending" | "starting">,
    isWaiting: () => boolean,
  ): Promise<ChangeOutcome | { readonly kind: "too late" }> {
    const served = starting.map((tunnel) => new ServedTunnel(tunnel, this.#log, this.#watcher));
    const keys = served.map((one) => ofTunnel(one, one.readKey({ limitMs: RELOAD_LIMIT_MS })));
    const failures = (await Promise.allSettled(keys)).flatMap((key) => (key.status === "rejected" ? [key.reason] : []));
    if (failures.length > 0 || this.#isEnding) return this.#giveUp(served, failures);
    if (!isWaiting()) {
      await Promise.all(served.map((one) => one.drain()));
      return { kind: "too late" };
    }
    if (ending.length + starting.length === 0) return { kind: "changed", failed: 0 };
    const gone = this.#tunnels.filter(({ config }) => ending.includes(config.name ?? ""));
    this.#tunnels = [...this.#tunnels.filter((one) => !gone.includes(one)), ...served];
    for (const one of gone) {
      this.#watcher?.remove(one.config);
      void one.drain();
    }
    for (const { config } of served) this.#watcher?.add(config);
    return { kind: "changed", failed: 0 };
  }

  /** Everything that can fail without touching what runs. @returns What has failed. */
  async #prepare(one: ServedTunnel): Promise<readonly unknown[]> {
    const limitMs = RELOAD_LIMIT_MS;
    const steps = [one.lookUp(undefined, { timeoutMs: limitMs }), one.readKey({ limitMs })];
    const results = await Promise.allSettled(steps.map((step) => ofTunnel(one, step)));
    return results.flatMap((result) => (result.status === "rejected" ? [result.reason] : []));
  }

  async #giveUp(served: readonly ServedTunnel[], failures: readonly unknown[]): Promise<ChangeOutcome> {
    for (const error of failures) this.#log.error(error);
    await Promise.all(served.map((one) => one.drain()));
    return { kind: "nothing changed", failures: failures.length };
  }

  /** Accepts. @returns Whether it does: once it listens, only descriptors can be lacking. */
  async #begin(served: ServedTunnel): Promise<boolean> {
    try {
      await ofTunnel(served, served.start());
      served.sayListening();
      return true;
    } catch (error) {
      this.#log.error(error);
      this.#leave(served);
      return false;
    }
  }

  /** Has a tunnel go; it stays known until its last connection has ended, or until it has had its time for that. */
  #leave(one: ServedTunnel): void {
    this.#tunnels = this.#tunnels.filter((other) => other !== one);
    this.#leaving.add(one);
    if (this.#tunnels.every(({ config }) => config.name !== one.config.name)) this.#watcher?.remove(one.config);
    const limit = Number.isFinite(this.#drainTimeoutMs)
      ? setTimeout(() => this.#cut(one), this.#drainTimeoutMs)
      : undefined;
    void one.drain().then(() => {
      clearTimeout(limit);
      this.#leaving.delete(one);
    });
    this.#descriptors?.book(-DESCRIPTORS_PER_TUNNEL);
  }

  #cut(one: ServedTunnel): void {
    this.#log.write(oldConnectionsCutEntry(one.label ?? "", one.connections, this.#drainTimeoutMs));
    one.cancel();
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
