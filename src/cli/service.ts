/**
 * Runs tunnels as a program: the order of startup, the effect of signals, and the cleanup on exit.
 *
 *     look up → read the key → hold the pid file → bind and listen → write it → -u → accept → ready
 *     with -D: read the key → pid file → ready → look up, again and again → bind and listen → -u → accept
 */

import { closeSync, openSync } from "node:fs";
import { isatty } from "node:tty";
import { LONGEST_MS, systemClock } from "../clock.js";
import { messageOf } from "../errors.js";
import { InheritedSockets, readHanded } from "../net/inherited-sockets.js";
import { counted } from "../observe/counted.js";
import { createLog, type Log } from "../observe/log.js";
import { drainingEntry, reloadWhileStoppingEntry, stoppedEntry } from "../observe/service-entries.js";
import { ServiceManager } from "../observe/service-manager.js";
import { standardErrorSink } from "../observe/standard-error.js";
import { stateEntries } from "../observe/state-entries.js";
import { syslogSink } from "../observe/syslog.js";
import { endsAfterHangUp, hasDescriptors } from "../platform.js";
import { ReloadRecord } from "../service/reload-record.js";
import { ServedStatus } from "../service/served-status.js";
import { Supervisor } from "../service/supervisor.js";
import { Watchers } from "../service/watcher.js";
import { setFlowSettings } from "../tunnel/flow-settings.js";
import { scheduleAfterStartup } from "./after-startup.js";
import { ConfigReload } from "./config-reload.js";
import { KEY_INSTEAD } from "./daemon.js";
import { isHangUpIgnored, takeSignal } from "./early-signals.js";
import { tellFaultsTo } from "./faults.js";
import { mayNow } from "./file-access.js";
import { lookupWithRetries } from "./lookups-at-start.js";
import { detachTerminals, protectMemoryAgain } from "./own-process.js";
import { PidFile } from "./pid-file.js";
import { takeFromServiceManager } from "./service-manager-variables.js";
import type { ServiceSettings } from "./service-settings.js";
import { StopSignals } from "./stop-signals.js";
import { changeIdentity, type Identity, lookupIdentity, readerOf } from "./user.js";
import { unreadableConfig, unreadableKeyFolder } from "./user-access.js";
import { version } from "./version.js";

/**
 * Runs tunnels until a signal stops them.
 *
 * @returns The exit status: 0 if all connections ended by themselves, 1 if some were reset.
 * @throws SpipedError if startup fails.
 */
export async function runService(settings: ServiceSettings): Promise<number> {
  setFlowSettings(settings.flows);
  const service = new Service(settings);
  // A daemon may read its key from a terminal, but is not attached to it. On Windows, SIGHUP means that the console is
  // closed, and the system kills the program soon after.
  const losesTerminal = settings.reportReady === undefined && isatty(0) && !isHangUpIgnored();
  const hangUp = endsAfterHangUp() || losesTerminal;
  const signals = new StopSignals({ hangUp });
  if (!hangUp) takeSignal("SIGHUP", () => void service.reload());
  for (const signal of ["SIGUSR1", "SIGUSR2"] as const) takeSignal(signal, () => service.sayState(signal));
  // On an unplanned exit, connections must not look as if they had ended in order. After any other exit this does nothing.
  process.prependListener("exit", () => service.abandon());
  // Keeps the process alive after its last tunnel is removed.
  const hold = setInterval(() => undefined, LONGEST_MS);
  try {
    const started = await Promise.race([service.start(), signals.early]);
    return started === undefined ? 0 : await service.runUntil(signals);
  } catch (error) {
    // After startup, errors go to the log rather than to standard error.
    service.failed(error);
    if (!service.isReady) throw error;
    service.log.error(error);
    return 1;
  } finally {
    clearInterval(hold);
    service.leave();
  }
}

class Service {
  readonly #settings: ServiceSettings;
  readonly #supervisor: Supervisor;
  readonly #record = new ReloadRecord();
  readonly #status: ServedStatus | undefined;
  #sink = standardErrorSink("spiped");
  /** Writes to whatever sink is current. */
  readonly #log = createLog({ write: (entry) => this.#sink.write(entry) });
  #isReady = false;
  #pidFile: PidFile | undefined;
  #hasLeft = false;
  readonly #manager: ServiceManager;
  #reloads = 0;
  readonly #reload: ConfigReload | undefined;

  constructor(settings: ServiceSettings) {
    this.#settings = settings;
    const { notifySocket, handed } = takeFromServiceManager();
    // First, so that descriptors opened later cannot be mistaken for inherited ones.
    const inherited = new InheritedSockets(readHanded(handed));
    this.#manager = ServiceManager.at(notifySocket, (text) => this.#log.warning(text));
    const log = this.#log;
    const build = { version, node: process.versions.node, platform: `${process.platform}-${process.arch}` };
    this.#status = settings.status && new ServedStatus(settings.status, build, log, this.#record);
    this.#supervisor = new Supervisor(settings.tunnels, {
      log,
      inherited,
      watcher: new Watchers([this.#record, ...(this.#status === undefined ? [] : [this.#status.collector])]),
      drainTimeoutMs: settings.drainTimeoutMs,
      reservedDescriptors: this.#status?.descriptors ?? 0,
    });
    const parts = { supervisor: this.#supervisor, log, record: this.#record };
    this.#reload = settings.file && new ConfigReload(settings.file, parts);
  }

  get log(): Log {
    return this.#log;
  }

  get isReady(): boolean {
    return this.#isReady;
  }

  /** Resolves when it accepts clients. */
  async start(): Promise<"started"> {
    const { user, waitsForLookups, warnings } = this.#settings;
    for (const warning of warnings) this.#log.warning(warning);
    // A mistake in -u must be reported before names are looked up, which may take long.
    const identity = user === undefined ? undefined : lookupIdentity(user);
    await (waitsForLookups ? this.#startBeforeLookups(identity) : this.#startAfterLookups(identity));
    return "started";
  }

  async #startAfterLookups(identity: Identity | undefined): Promise<void> {
    await this.#unlessLeft(Promise.all([this.#supervisor.lookup(), this.#status?.lookup()]));
    await this.#unlessLeft(this.#readKey(identity));
    this.#takePidFile();
    this.#status?.listen();
    this.#supervisor.listen();
    this.#pidFile?.write();
    await this.#begin(identity);
    this.#ready({ isListening: true });
  }

  async #startBeforeLookups(identity: Identity | undefined): Promise<void> {
    await this.#unlessLeft(this.#status?.lookup());
    await this.#unlessLeft(this.#readKey(identity));
    this.#takePidFile();
    this.#status?.listen();
    this.#pidFile?.write();
    // With -u, the status is served only as the new user.
    if (identity === undefined) await this.#status?.start();
    this.#ready({ isListening: false });
    await this.#unlessLeft(lookupWithRetries(this.#supervisor, this.#reload, this.#log));
    this.#supervisor.listen();
    await this.#begin(identity);
    this.#supervisor.sayListening();
    this.#manager.status(this.#supervisor.status);
  }

  /** After a signal during startup, the remaining steps must not create files. */
  async #unlessLeft<T>(step: Promise<T> | undefined): Promise<T | undefined> {
    const result = await step;
    return this.#hasLeft ? new Promise(() => undefined) : result;
  }

  async #readKey(identity: Identity | undefined): Promise<void> {
    const { keyDescriptor, reportReady } = this.#settings;
    await this.#supervisor.readKeys({ descriptor: keyDescriptor, instead: KEY_INSTEAD, reader: readerOf(identity) });
    if (reportReady !== undefined && this.#supervisor.tunnels.some(({ keyFile }) => keyFile === "-")) {
      // A daemon must not keep the pipe open; descriptor 0 is replaced at once.
      closeSync(0);
      openSync("/dev/null", "r");
    }
  }

  /** Before listening: then "address in use" means another program, not an earlier daemon. */
  #takePidFile(): void {
    const { pidFile } = this.#settings;
    if (pidFile !== undefined) this.#pidFile = PidFile.take(pidFile);
  }

  async #begin(identity: Identity | undefined): Promise<void> {
    if (identity !== undefined) {
      const { uid, group } = identity;
      this.#status?.give(uid, group.kind === "stay" ? undefined : group.gid);
      for (const warning of changeIdentity(identity)) this.#log.warning(warning);
      protectMemoryAgain();
      await this.#warnOfReload();
    }
    await this.#status?.start();
    await this.#supervisor.start();
    this.#reload?.start();
    scheduleAfterStartup({ movesBytes: !hasDescriptors() || this.#settings.flows.relay === false });
  }

  /** What the user of `-u` cannot reload. */
  async #warnOfReload(): Promise<void> {
    const folders = new Set(this.#supervisor.tunnels.flatMap(({ keyFolder }) => keyFolder ?? []));
    const { file } = this.#settings;
    const warnings = [
      ...(await Promise.all([...folders].map((folder) => unreadableKeyFolder(folder, mayNow)))),
      ...(file === undefined ? [] : [await unreadableConfig(file.path, mayNow)]),
    ];
    for (const warning of warnings) if (warning !== undefined) this.#log.warning(warning);
  }

  /** Startup is complete: reports it, and directs the log to its final place. */
  #ready({ isListening }: { readonly isListening: boolean }): void {
    if (this.#settings.syslog) {
      this.#sink = syslogSink("spiped");
      tellFaultsTo(this.#log);
    }
    this.#isReady = true;
    if (isListening) this.#supervisor.sayListening();
    this.#status?.sayListening();
    // The manager started the first process, which is about to exit; it must follow this one.
    const { reportReady } = this.#settings;
    this.#manager.ready(this.#supervisor.status, reportReady === undefined ? undefined : process.pid);
    if (reportReady === undefined) return;
    detachTerminals();
    reportReady();
  }

  /** SIGUSR1 and SIGUSR2. */
  sayState(signal: string): void {
    const uptimeMs = process.uptime() * 1_000;
    const state = { signal, version, uptimeMs, lastReload: this.#record.last, tunnels: this.#supervisor.describe() };
    for (const entry of stateEntries(state, systemClock.now())) this.#log.write(entry);
  }

  /** SIGTERM drains connections; a second one, or another signal, resets them. */
  async runUntil(signals: StopSignals): Promise<number> {
    const supervisor = this.#supervisor;
    const { drainTimeoutMs } = this.#settings;
    let cut = 0;
    let limit: NodeJS.Timeout | undefined;
    let limitMs: number | undefined;
    const cancel = () => {
      cut += supervisor.connections;
      supervisor.cancel();
    };
    const first = await signals.next();
    this.#status?.stopping();
    this.#manager.stopping(`shutting down, ${counted(supervisor.connections, "connection")} open`);
    const drained = supervisor.drain();
    this.#pidFile?.release();
    signals.whenever(cancel);
    if (first !== "SIGTERM") cancel();
    else if (supervisor.connections > 0) {
      this.#log.write(drainingEntry(first, supervisor.connections));
      if (Number.isFinite(drainTimeoutMs)) {
        limit = setTimeout(() => {
          limitMs = drainTimeoutMs;
          cancel();
        }, drainTimeoutMs);
      }
    }
    await drained;
    clearTimeout(limit);
    this.#log.write(stoppedEntry(cut, limitMs));
    return cut === 0 ? 0 : 1;
  }

  /** SIGHUP: reloads the configuration file if there is one, and the keys. */
  async reload(): Promise<void> {
    if (this.#supervisor.isEnding) {
      this.#log.write(reloadWhileStoppingEntry());
      await this.#supervisor.reload();
      return;
    }
    if (this.#isReady) this.#manager.reloading();
    this.#reloads += 1;
    await (this.#reload === undefined ? this.#supervisor.reload() : this.#reload.request());
    this.#reloads -= 1;
    if (!this.#isReady || this.#reloads > 0 || this.#supervisor.isEnding) return;
    this.#manager.ready(`${this.#supervisor.status}${this.#record.status}`);
  }

  /** Tells the service manager why it exits. */
  failed(error: unknown): void {
    this.#manager.status(messageOf(error));
  }

  /** Resets open connections, and removes files. */
  abandon(): void {
    this.leave();
    this.#supervisor.cancel();
  }

  /** Removes files, however far startup has come. */
  leave(): void {
    this.#hasLeft = true;
    void this.#supervisor.drain();
    this.#status?.close();
    const pidFile = this.#pidFile;
    this.#pidFile = undefined;
    try {
      pidFile?.remove();
    } catch (error) {
      this.#log.warning(messageOf(error));
    }
  }
}
