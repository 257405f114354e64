/**
 * Remembers how the last reload went, and what of it failed: an operator who missed the log message must be able to see
 * that what runs is not what is on disk. A start counts as a successful reload.
 *
 * A failure belongs to a tunnel's name, as statistics do, and is forgotten when that tunnel starts anew or is removed.
 */

import { type Clock, systemClock } from "../clock.js";
import { restartNeededText } from "../observe/service-entries.js";
import { nameOf, type ShownConfig } from "../status/shown-config.js";
import type { LastReload, ReloadFailure } from "../status/snapshot.js";

/** Options of a record. */
export interface ReloadRecordOptions {
  readonly clock?: Pick<Clock, "now">;
  /** The time of day, in milliseconds since 1970. */
  readonly timeOfDay?: () => number;
}

/** One moment, on both clocks: the time of day can be set, and an age must not change then. */
interface Moment {
  readonly atMs: number;
  readonly ticksMs: number;
}

/** How the last reload went. */
export class ReloadRecord {
  readonly #clock: Pick<Clock, "now">;
  readonly #timeOfDay: () => number;
  /** By the names of tunnels; "" is the configuration. */
  readonly #failures = new Map<string, ReloadFailure>();
  /** As of the last file without mistakes. */
  #needRestart: readonly string[] = [];
  #last: Moment | undefined;
  #lastSuccess: Moment;
  /** Until the file's own result is known, keys that were reloaded with it are no success. */
  #isReloadingFile = false;

  constructor({ clock = systemClock, timeOfDay = Date.now }: ReloadRecordOptions = {}) {
    this.#clock = clock;
    this.#timeOfDay = timeOfDay;
    this.#lastSuccess = this.#now();
  }

  /**
   * The configuration file has no mistakes; must be called before `reloaded`.
   *
   * @param keys - Keys of the process that differ from those in use, and take effect after a restart.
   */
  needRestart(keys: readonly string[]): void {
    this.#needRestart = keys;
  }

  /** The configuration file is being reloaded; the tunnels' keys are a part of that. */
  reloading(): void {
    this.#isReloadingFile = true;
  }

  /**
   * A reload has finished.
   *
   * @param config - The tunnel whose keys were reloaded; undefined for the configuration file.
   * @param problem - Why not all of it is in use; undefined if it is.
   */
  reloaded(config: ShownConfig | undefined, problem: string | undefined): void {
    const name = config === undefined ? "" : nameOf(config);
    if (problem === undefined) this.#failures.delete(name);
    else {
      const what = config === undefined ? "configuration" : "keys";
      this.#failures.set(name, { what, tunnel: config && name, isNamed: config?.name !== undefined, problem });
    }
    if (config === undefined) this.#isReloadingFile = false;
    this.#last = this.#now();
    if (this.#all.length === 0 && !this.#isReloadingFile) this.#lastSuccess = this.#last;
  }

  /** A tunnel listens: it has read its keys. */
  watch(config: ShownConfig): void {
    this.#failures.delete(nameOf(config));
  }

  /** A tunnel was removed. */
  remove(config: ShownConfig): void {
    this.#failures.delete(nameOf(config));
  }

  get last(): LastReload {
    const now = this.#clock.now();
    return {
      successful: this.#all.length === 0,
      atMs: this.#last?.atMs,
      ageMs: this.#last && now - this.#last.ticksMs,
      lastSuccessAtMs: this.#lastSuccess.atMs,
      lastSuccessAgeMs: now - this.#lastSuccess.ticksMs,
      failures: this.#all,
      needRestart: this.#needRestart,
    };
  }

  /** What the service manager shows of a reload that is not wholly in use, after its own text; empty if it is. */
  get status(): string {
    if (this.#failures.size > 0) return "; the last reload failed";
    return this.#needRestart.length === 0 ? "" : `; ${restartNeededText(this.#needRestart)}`;
  }

  get #all(): readonly ReloadFailure[] {
    const failures = [...this.#failures.values()];
    if (this.#needRestart.length === 0) return failures;
    const problem = restartNeededText(this.#needRestart);
    return [...failures, { what: "settings", tunnel: undefined, isNamed: false, problem }];
  }

  #now(): Moment {
    return { atMs: this.#timeOfDay(), ticksMs: this.#clock.now() };
  }
}
