/**
 * All tunnels of a service, and what they share: the descriptors of the process and its log. Each step is done for all of
 * them, so that an error in one is found before any of them accepts.
 */

import { RELOAD_LIMIT_MS } from "../config/key-file.js";
import { messageOf, SpipedError } from "../errors.js";
import type { ConfigChanges } from "../flags/config-changes.js";
import { DescriptorBudget } from "../net/descriptors.js";
import type { InheritedSockets } from "../net/inherited-sockets.js";
import type { ListeningSocket } from "../net/listening-socket.js";
import { loopsOf } from "../net/loops.js";
import { counted } from "../observe/counted.js";
import type { Log } from "../observe/log.js";
import { loopEntry } from "../observe/service-entries.js";
import type { TunnelState } from "../observe/state-entries.js";
import { type RetriedLookup, ServedTunnel, type TunnelSettings } from "./served-tunnel.js";
import { SocketChange } from "./socket-change.js";
import type { TunnelWatcher } from "./watcher.js";

/** Options of a supervisor. */
export interface SupervisorOptions {
  readonly log: Log;
  /** Sockets passed by a service manager; the supervisor closes them. */
  readonly inherited: InheritedSockets;
  /** Undefined without `--status`. */
  readonly watcher?: TunnelWatcher | undefined;
  /** Descriptors to reserve for other purposes. */
  readonly reservedDescriptors?: number;
  /** How long the connections of a tunnel that a reload ended may last; `Infinity` for no limit. */
  readonly drainTimeoutMs?: number;
}

/** The result of a change. */
export type ChangeOutcome =
  /** `failed`: tunnels that listened but could not accept, and have been ended. */
  | { readonly kind: "changed"; readonly failed: number }
  /** `failures`: errors that were logged, and the first of them; 0 if the process began to shut down. */
  | { readonly kind: "nothing changed"; readonly failures: number; readonly first: string | undefined };

/** The listening socket, its duplicate for accepting, and the folder of a UNIX socket. */
const DESCRIPTORS_PER_TUNNEL = 3;

/** Runs and changes the tunnels. */
export class Supervisor {
  readonly #log: Log;
  readonly #inherited: InheritedSockets;
  readonly #watcher: TunnelWatcher | undefined;
  readonly #reservedDescriptors: number;
  readonly #drainTimeoutMs: number;
  #tunnels: readonly ServedTunnel[];
  /** Tunnels that a reload ended, until their last connection has ended. */
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

  /** In configuration order. */
  get tunnels(): readonly ServedTunnel[] {
    return this.#tunnels;
  }

  /** Whether it is shutting down. */
  get isEnding(): boolean {
    return this.#isEnding;
  }

  /** The number of open connections of all tunnels. */
  get connections(): number {
    return this.#all.reduce((sum, { connections }) => sum + connections, 0);
  }

  get #all(): readonly ServedTunnel[] {
    return [...this.#tunnels, ...this.#leaving];
  }

  /** Resolves the addresses of all tunnels. */
  async lookup(lookup?: RetriedLookup): Promise<void> {
    await Promise.all(this.#tunnels.map((one) => ofTunnel(one, one.lookup(lookup))));
  }

  /** Reads the keys of all tunnels in turn. */
  async readKeys(options?: Parameters<ServedTunnel["readKey"]>[0]): Promise<void> {
    for (const one of this.#tunnels) await ofTunnel(one, one.readKey(options));
  }

  /** Listens for all tunnels; clients wait in the backlog. */
  listen(): void {
    for (const one of this.#tunnels) this.#listen(one);
    this.#warnOfLoops(this.#tunnels);
  }

  /** Warns of loops that these tunnels are part of. A tunnel that leads to itself warns of that alone. */
  #warnOfLoops(started: readonly ServedTunnel[]): void {
    const tunnels = this.#tunnels.flatMap((tunnel) => (tunnel.ends === undefined ? [] : [{ tunnel, ...tunnel.ends }]));
    for (const loop of loopsOf(tunnels)) {
      if (loop.length === 1 || !loop.some(({ tunnel }) => started.includes(tunnel))) continue;
      this.#log.write(loopEntry(loop.map(({ tunnel }) => tunnel.config.name ?? "")));
    }
  }

  #listen(one: ServedTunnel, socket?: ListeningSocket): void {
    this.#descriptors ??= DescriptorBudget.measure(this.#reservedDescriptors);
    try {
      one.listen(this.#descriptors, this.#inherited, socket);
    } catch (error) {
      throw named(one, error);
    }
    // The budget was measured before any tunnel listened.
    if (one.config.name !== undefined) this.#descriptors.book(DESCRIPTORS_PER_TUNNEL);
  }

  /** Begins to accept. */
  async start(): Promise<void> {
    await Promise.all(this.#tunnels.map((one) => ofTunnel(one, one.start())));
  }

  /** The status as one line of text. */
  get status(): string {
    const [first, ...others] = this.#tunnels;
    return first !== undefined && others.length === 0 ? first.status : counted(this.#tunnels.length, "tunnel");
  }

  /** The current state of all tunnels, draining ones included. */
  describe(): readonly TunnelState[] {
    return this.#all.map((one) => one.describe());
  }

  /** Logs where each tunnel listens. */
  sayListening(): void {
    for (const one of this.#tunnels) one.sayListening();
  }

  /**
   * Reloads keys; resolves when that is done, even if it failed. Draining tunnels are included, since their connections may
   * use a key that was removed, unless no current tunnel uses their key file.
   *
   * @param names - The current tunnels to reload; all if omitted.
   */
  async reload(names?: readonly string[]): Promise<void> {
    const current = this.#tunnels.filter(({ config }) => names === undefined || names.includes(config.name ?? ""));
    const leaving = [...this.#leaving].filter(({ keyFile }) => this.#tunnels.some((one) => one.keyFile === keyFile));
    await Promise.all([...current, ...leaving].map((one) => one.reload()));
  }

  /**
   * Ends tunnels and starts others, all or nothing, while the rest keep running. Resolves names and reads keys, then opens
   * every new socket, and applies the change only when all of that succeeded.
   */
  async change({ ending, starting }: Pick<ConfigChanges, "ending" | "starting">): Promise<ChangeOutcome> {
    const served = starting.map((tunnel) => new ServedTunnel(tunnel, this.#log, this.#watcher));
    const failures = (await Promise.all(served.map((one) => this.#prepare(one)))).flat();
    if (failures.length > 0 || this.#isEnding) return this.#abandon(served, failures);
    const isEnding = ({ config }: ServedTunnel) => ending.includes(config.name ?? "");
    const leaving = this.#tunnels.filter(isEnding);
    const staying = this.#tunnels.filter((one) => !isEnding(one));
    const sockets = new SocketChange({ starting: served, ending: leaving, staying, inherited: this.#inherited });
    const notListening = sockets.listen();
    if (notListening.length > 0) return this.#abandon(served, notListening);
    for (const one of served) this.#listen(one, sockets.take(one));
    this.#tunnels = [...this.#tunnels, ...served];
    for (const one of leaving) this.#leave(one);
    this.#warnOfLoops(served);
    const started = await Promise.all(served.map((one) => this.#begin(one)));
    return { kind: "changed", failed: started.filter((isStarted) => !isStarted).length };
  }

  /**
   * Like `change`, for a service that is still resolving names and does not listen yet. Reads only the keys of new tunnels.
   *
   * @param isWaiting - Whether the service is still resolving; called after the keys have been read.
   */
  async replace(
    { ending, starting }: Pick<ConfigChanges, "ending" | "starting">,
    isWaiting: () => boolean,
  ): Promise<ChangeOutcome | { readonly kind: "too late" }> {
    const served = starting.map((tunnel) => new ServedTunnel(tunnel, this.#log, this.#watcher));
    const reading = served.map((one) => failuresOf(one, [one.readKey({ limitMs: RELOAD_LIMIT_MS })]));
    const failures = (await Promise.all(reading)).flat();
    if (failures.length > 0 || this.#isEnding) return this.#abandon(served, failures);
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

  /** Does what can fail without affecting running tunnels. @returns The errors. */
  #prepare(one: ServedTunnel): Promise<readonly Failure[]> {
    const limitMs = RELOAD_LIMIT_MS;
    return failuresOf(one, [one.lookup(undefined, { timeoutMs: limitMs }), one.readKey({ limitMs })]);
  }

  async #abandon(served: readonly ServedTunnel[], failures: readonly Failure[]): Promise<ChangeOutcome> {
    for (const { tunnel, error } of failures) tunnel.sayNotStarted(error);
    await Promise.all(served.map((one) => one.drain()));
    const [first] = failures;
    const said = first && messageOf(named(first.tunnel, first.error));
    return { kind: "nothing changed", failures: failures.length, first: said };
  }

  /** Begins to accept. @returns False if that failed, which can only be for lack of descriptors. */
  async #begin(served: ServedTunnel): Promise<boolean> {
    try {
      await served.start();
      served.sayListening();
      return true;
    } catch (error) {
      served.sayNotStarted(error);
      this.#leave(served);
      return false;
    }
  }

  /** Ends a tunnel. Its connections drain, until the drain timeout. */
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
    one.sayCut(this.#drainTimeoutMs);
    one.cancel();
  }

  /** Stops listening; resolves when the last connection has ended. */
  async drain(): Promise<void> {
    this.#isEnding = true;
    // A draining process must not keep the service manager's sockets open: clients would wait in their backlog.
    this.#inherited.close();
    await Promise.all(this.#all.map((one) => one.drain()));
  }

  /** Resets all open connections. */
  cancel(): void {
    for (const one of this.#all) one.cancel();
  }
}

/** What a tunnel of a reload could not do. */
interface Failure {
  readonly tunnel: ServedTunnel;
  readonly error: unknown;
}

async function failuresOf(tunnel: ServedTunnel, steps: readonly Promise<void>[]): Promise<readonly Failure[]> {
  const results = await Promise.allSettled(steps);
  return results.flatMap((result) => (result.status === "rejected" ? [{ tunnel, error: result.reason }] : []));
}

/** Adds the tunnel's name to the error of a step. */
async function ofTunnel(one: ServedTunnel, step: Promise<void>): Promise<void> {
  try {
    await step;
  } catch (error) {
    throw named(one, error);
  }
}

function named({ config: { name } }: ServedTunnel, error: unknown): unknown {
  if (name === undefined || !(error instanceof SpipedError)) return error;
  const { code, message, hint } = error;
  return new SpipedError(code, `${name}: ${message}`, { cause: error, ...(hint === undefined ? {} : { hint }) });
}
