/**
 * SIGHUP with `--config`: reloads the file and applies what has changed.
 */

import { messageOf } from "../errors.js";
import { type ConfigChanges, changesBetween, nameOf } from "../flags/config-changes.js";
import type { CheckedConfig, FileConfig, FileTunnel } from "../flags/config-file.js";
import { textOf } from "../flags/mistakes.js";
import { counted } from "../observe/counted.js";
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
import { CoalescedReload } from "../service/coalesced-reload.js";
import type { ReloadRecord } from "../service/reload-record.js";
import type { Supervisor } from "../service/supervisor.js";

/** The configuration file, and its contents at startup. */
export interface ConfigInUse {
  readonly path: string;
  readonly config: FileConfig;
  /** Reads the file as it is now. Keys that the command line overrides are not in the result, here and in `config`. */
  readonly check: () => Promise<CheckedConfig>;
}

/** What a reload works on. */
export interface ReloadParts {
  readonly supervisor: Supervisor;
  readonly log: Log;
  /** Is told of each reload, before and after. */
  readonly record: Pick<ReloadRecord, "reloading" | "needRestart" | "reloaded">;
}

/** How far the service has started. */
type Phase =
  /** A reload has to wait. */
  | { readonly name: "before" }
  /** `-D` retries lookups. */
  | { readonly name: "waiting"; readonly replaced: () => void }
  | { readonly name: "running" };

/** Reloads a configuration file, one reload at a time. */
export class ConfigReload {
  readonly #file: ConfigInUse;
  readonly #parts: ReloadParts;
  readonly #reloads = new CoalescedReload();
  #phase: Phase = { name: "before" };
  /** Whether a reload was requested that has to wait. */
  #isRequested = false;

  constructor(file: ConfigInUse, parts: ReloadParts) {
    this.#file = file;
    this.#parts = parts;
  }

  /**
   * Reloads the file; while the service is starting, as soon as it has started. Resolves when the reload is over, whether
   * it succeeded or not.
   */
  async request(): Promise<void> {
    if (this.#phase.name === "before") {
      this.#isRequested = true;
      return;
    }
    // A reload that hangs must not delay reloading the keys.
    if (this.#reloads.isRunning) void this.#parts.supervisor.reload();
    await this.#reloads.request(() => this.#read());
  }

  /** Must be called when the service has started. */
  start(): void {
    this.#enter({ name: "running" });
  }

  /**
   * Must be called while `-D` waits for names and nothing listens yet: a reload can then replace the tunnels.
   *
   * @param replaced - Called when there are other tunnels than before.
   */
  wait(replaced: () => void): void {
    this.#enter({ name: "waiting", replaced });
  }

  /** Must be called when the names are known: further reloads wait for `start`. */
  stopWaiting(): void {
    this.#phase = { name: "before" };
  }

  #enter(phase: Phase): void {
    this.#phase = phase;
    const isRequested = this.#isRequested;
    this.#isRequested = false;
    if (isRequested) void this.request();
  }

  async #read(): Promise<void> {
    this.#parts.record.reloading();
    try {
      let result = await this.#reload();
      // The service may have started before the result was known; `start` does not repeat the reload then.
      while (result === "has to wait" && this.#phase.name !== "before") result = await this.#reload();
      if (result === "has to wait") this.#isRequested = true;
      else this.#parts.record.reloaded(undefined, result.problem);
    } catch (error) {
      this.#parts.log.error(error);
      // Whatever has failed, removed keys must not stay in use.
      await this.#parts.supervisor.reload();
      this.#parts.record.reloaded(undefined, messageOf(error));
    }
  }

  /** @returns Why the whole file was not applied. */
  async #reload(): Promise<{ readonly problem: string | undefined } | "has to wait"> {
    const { path, config, check } = this.#file;
    const { supervisor, log, record } = this.#parts;
    const checked = await check();
    if (checked.kind === "wrong") {
      for (const mistake of checked.mistakes) {
        log.write(configMistakeEntry(textOf(mistake), mistake.file, mistake.line));
      }
      // Removing a client's key must not wait until the file is corrected.
      await supervisor.reload();
      // The last message, or the keys would make it look like a success.
      log.write(configKeptEntry(path, checked.count));
      return { problem: firstOf(path, checked.count, checked.mistakes[0] && textOf(checked.mistakes[0])) };
    }
    // Compares with the running tunnels, so one that failed to start last time is tried again.
    const running = supervisor.tunnels.map(({ config: one, keyFile }) => ({ config: one, keyFile }));
    const changes = changesBetween({ process: config.process, tunnels: running }, checked.config);
    for (const key of changes.needRestart) log.write(restartNeededEntry(path, key));
    record.needRestart(changes.needRestart);
    // Starts at once, and independently of the rest: removing a key must not wait for a name server.
    const sameKeys = namesOfSameKeys(running, checked.config);
    const keys = supervisor.reload(sameKeys);
    const outcome = await this.#apply(changes);
    await keys;
    if (outcome.kind === "too late") return "has to wait";
    if (outcome.kind === "nothing changed") {
      // Tunnels that were to get another key file go on with the old one.
      const others = running.map(nameOf).filter((name) => !sameKeys.includes(name));
      if (others.length > 0) await supervisor.reload(others);
      if (outcome.failures > 0) log.write(configNotStartedEntry(path, outcome.failures));
      return { problem: firstOf(path, outcome.failures, outcome.first) };
    }
    log.write(configReadEntry(path, { count: checked.config.tunnels.length, changes: countsOf(changes) }));
    if (this.#phase.name === "waiting" && changes.starting.length > 0) log.write(resolvingNewNamesEntry());
    if (outcome.failed > 0) log.write(tunnelsFailedEntry(outcome.failed));
    if (supervisor.tunnels.length === 0) log.write(noTunnelsEntry());
    return { problem: outcome.failed === 0 ? undefined : `${counted(outcome.failed, "tunnel")} failed to start` };
  }

  async #apply(changes: ConfigChanges): Promise<Awaited<ReturnType<Supervisor["replace"]>>> {
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

/** The first error, and how many more there are. */
function firstOf(path: string, count: number, first: string | undefined): string {
  if (first === undefined) return `cannot apply ${path}`;
  return count > 1 ? `${first}; and ${counted(count - 1, "more error")}` : first;
}

/** Tunnels whose key file is the same as before. */
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
