/**
 * SIGHUP with `--config`: the file is read again, and what has changed in it is done.
 */

import { type ConfigChanges, changesBetween, nameOf } from "../flags/config-changes.js";
import type { CheckedConfig, FileConfig, FileTunnel } from "../flags/config-file.js";
import { textOf } from "../flags/mistakes.js";
import type { Log } from "../observe/log.js";
import {
  configKeptEntry,
  configMistakeEntry,
  configNotStartedEntry,
  configReadEntry,
  noTunnelsEntry,
  resolvingNewNamesEntry,
  restartNeededEntry,
  tunnelsFailedEntry,
} from "../observe/service-entries.js";
import { Rereading } from "../service/rereading.js";
import type { Supervisor } from "../service/supervisor.js";

/** A file, and what it came to at the start. */
export interface ConfigInUse {
  readonly path: string;
  readonly config: FileConfig;
  /** Reads it as it is now. What can do that is loaded only where there is a file. */
  readonly check: () => Promise<CheckedConfig>;
}

/** What a reload is about. */
export interface ReloadParts {
  readonly supervisor: Supervisor;
  readonly log: Log;
  /** Told how each has gone. */
  readonly reloaded: (successful: boolean) => void;
}

/** How far the service is. */
type Phase =
  /** What is asked for has to wait. */
  | { readonly name: "before" }
  /** Names are looked up again and again. */
  | { readonly name: "waiting"; readonly replaced: () => void }
  | { readonly name: "running" };

/** See the head of this file. */
export class ConfigReload {
  readonly #file: ConfigInUse;
  readonly #parts: ReloadParts;
  readonly #rereading = new Rereading();
  #phase: Phase = { name: "before" };
  /** Whether there is something to do when that is over. */
  #isAsked = false;

  constructor(file: ConfigInUse, parts: ReloadParts) {
    this.#file = file;
    this.#parts = parts;
  }

  /**
   * Has the file read as it is from now on; where the service has not started yet, as it is then. Resolves when that has
   * come to an end, whatever it is.
   */
  async request(): Promise<void> {
    if (this.#phase.name === "before") {
      this.#isAsked = true;
      return;
    }
    // Whatever the reading waits for, keys do not.
    if (this.#rereading.isUnderWay) void this.#parts.supervisor.reload();
    await this.#rereading.request(() => this.#read());
  }

  /** To be called when the service has started. */
  start(): void {
    this.#enter({ name: "running" });
  }

  /**
   * To be called while nothing listens yet, and names are waited for: then a file can repair them.
   *
   * @param replaced - Told when there are other tunnels than before.
   */
  wait(replaced: () => void): void {
    this.#enter({ name: "waiting", replaced });
  }

  /** To be called when names are known: what is asked for from now on has to wait for `start`. */
  stopWaiting(): void {
    this.#phase = { name: "before" };
  }

  #enter(phase: Phase): void {
    this.#phase = phase;
    const isAsked = this.#isAsked;
    this.#isAsked = false;
    if (isAsked) void this.request();
  }

  async #read(): Promise<void> {
    try {
      const isDone = await this.#reload();
      if (isDone === undefined) this.#isAsked = true;
      else this.#parts.reloaded(isDone);
    } catch (error) {
      this.#parts.log.error(error);
      this.#parts.reloaded(false);
    }
  }

  /** @returns Whether everything is as the file says; undefined: it came at a moment when it has to wait. */
  async #reload(): Promise<boolean | undefined> {
    const { path, config, check } = this.#file;
    const { supervisor, log } = this.#parts;
    const checked = await check();
    if (checked.kind === "wrong") {
      for (const mistake of checked.mistakes) {
        log.write(configMistakeEntry(textOf(mistake), mistake.file, mistake.line));
      }
      log.write(configKeptEntry(path, checked.count));
      // Shutting a client out must not wait until somebody has found a typing mistake.
      await supervisor.reload();
      return false;
    }
    // What could not be started last time is not there yet.
    const running = supervisor.tunnels.map(({ config: one, keyFile }) => ({ config: one, keyFile }));
    const changes = changesBetween({ process: config.process, tunnels: running }, checked.config);
    for (const key of changes.needRestart) log.write(restartNeededEntry(path, key));
    // At once, and whatever becomes of the rest: a key that was taken away must not wait for somebody's name server.
    const keys = supervisor.reload(namesOfSameKeys(running, checked.config));
    const outcome = await this.#do(changes);
    await keys;
    if (outcome.kind === "too late") return undefined;
    if (outcome.kind === "nothing changed") {
      if (outcome.failures > 0) log.write(configNotStartedEntry(path, outcome.failures));
      return false;
    }
    log.write(configReadEntry(path, { count: checked.config.tunnels.length, changes: countsOf(changes) }));
    if (this.#phase.name === "waiting") {
      log.write(resolvingNewNamesEntry());
    }
    if (outcome.failed > 0) log.write(tunnelsFailedEntry(outcome.failed));
    if (supervisor.tunnels.length === 0) log.write(noTunnelsEntry());
    return outcome.failed === 0;
  }

  async #do(changes: ConfigChanges): Promise<Awaited<ReturnType<Supervisor["replace"]>>> {
    const { supervisor } = this.#parts;
    const phase = this.#phase;
    switch (phase.name) {
      case "before":
        return { kind: "too late" };
      case "running":
        return supervisor.change(changes);
      case "waiting": {
        const before = supervisor.tunnels;
        const outcome = await supervisor.replace(changes, () => this.#phase === phase);
        if (supervisor.tunnels !== before) phase.replaced();
        return outcome;
      }
    }
  }
}

/** Tunnels whose keys are where they were, changed or not. */
function namesOfSameKeys(running: readonly FileTunnel[], { tunnels }: FileConfig): readonly string[] {
  const isSame = (one: FileTunnel) => (other: FileTunnel) =>
    nameOf(one) === nameOf(other) && one.keyFile === other.keyFile;
  return running.filter((one) => tunnels.some(isSame(one))).map(nameOf);
}

function countsOf({ unchanged, ending, starting }: ConfigChanges): string {
  const changed = starting.filter((tunnel) => ending.includes(nameOf(tunnel))).length;
  const counts = [
    [unchanged.length, "unchanged"],
    [changed, "changed"],
    [starting.length - changed, "added"],
    [ending.length - changed, "removed"],
  ] as const;
  return counts.flatMap(([count, what]) => (count === 0 ? [] : [`${count} ${what}`])).join(", ");
}
