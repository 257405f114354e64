/**
 * A tunnel as a program: the order of its start, what signals do to it, and what it leaves behind.
 *
 *     look up → read the key → hold the pid file → bind and listen → write it → -u → accept → ready
 *     with -D: read the key → pid file → ready → look up, again and again → bind and listen → -u → accept
 */

import { closeSync, openSync } from "node:fs";
import { isatty } from "node:tty";
import { readKeyFile } from "../config/key-file.js";
import type { TunnelConfig } from "../config/tunnel-config.js";
import { messageOf } from "../errors.js";
import { type Address, formatAddress, type SocketAddress, type TcpAddress } from "../net/address.js";
import { DescriptorBudget } from "../net/descriptors.js";
import { resolve, resolveBind } from "../net/resolver.js";
import { createLog, type Log } from "../observe/log.js";
import { standardErrorSink } from "../observe/standard-error.js";
import { syslogSink } from "../observe/syslog.js";
import { createTunnelLog } from "../observe/tunnel-log.js";
import type { SharedKey } from "../protocol/secret.js";
import { DialledDestination } from "../tunnel/destination.js";
import { chooseFlows, type FlowChoices } from "../tunnel/flow-choices.js";
import { Tunnel } from "../tunnel/listener.js";
import { Targets } from "../tunnel/targets.js";
import { KEY_INSTEAD, type ReportReady } from "./daemon.js";
import { isHangUpIgnored, takeSignal } from "./early-signals.js";
import { tellFaultsTo } from "./faults.js";
import { KeyReload } from "./key-reload.js";
import { letGoOfTerminals, protectMemoryAgain } from "./own-process.js";
import { PidFile } from "./pid-file.js";
import { settle } from "./settle.js";
import { StopSignals } from "./stop-signals.js";
import { changeIdentity, type Identity, lookUpIdentity } from "./user.js";

/** Time between look-ups at the start with `-D`. */
const RETRY_LOOK_UP_MS = 1_000;

/** What `spiped` was told besides what the tunnel is. */
export interface ServiceSettings {
  readonly config: TunnelConfig;
  readonly keyFile: string;
  /** The key file, open already, where the first process has opened it. It is closed when it is read. */
  readonly keyDescriptor: number | undefined;
  /** `-D`: failed look-ups are retried, after everything that can be checked without them. */
  readonly waitsForLookUps: boolean;
  /** Undefined in the foreground. */
  readonly pidFile: string | undefined;
  /** The words of `-u`. */
  readonly user: string | undefined;
  readonly syslog: boolean;
  /** How packets are moved, as far as it was said. */
  readonly flows: Partial<FlowChoices>;
  /** Tells whoever waits for the daemon; undefined in the foreground. */
  readonly reportReady: ReportReady | undefined;
}

/**
 * Runs a tunnel until a signal ends it.
 *
 * @returns The exit status: 0 where all connections could end, 1 where some were cut.
 * @throws SpipedError of whatever failed at the start.
 */
export async function runService(settings: ServiceSettings): Promise<number> {
  chooseFlows(settings.flows);
  const service = new Service(settings);
  // A daemon reads its key from a terminal at most, and does not live in it. On Windows the signal says that the console
  // is closed, and the system ends the program soon after.
  const losesTerminal = settings.reportReady === undefined && isatty(0) && !isHangUpIgnored();
  const hangUp = process.platform === "win32" || losesTerminal;
  const signals = new StopSignals({ hangUp });
  if (!hangUp) takeSignal("SIGHUP", () => service.reload());
  for (const signal of ["SIGUSR1", "SIGUSR2"] as const) takeSignal(signal, () => service.sayState(signal));
  // An end that nobody planned: connections must not look as if they had ended in order. After any other it does nothing.
  process.prependListener("exit", () => service.abandon());
  try {
    const tunnel = await Promise.race([service.start(), signals.early]);
    return tunnel === undefined ? 0 : await service.runUntil(signals, tunnel);
  } catch (error) {
    // After the start nobody reads standard error any more; the log does.
    if (!service.isReady) throw error;
    service.log.error(error);
    return 1;
  } finally {
    service.leave();
  }
}

/** What the addresses of a tunnel stand for. */
interface LookedUp {
  readonly source: SocketAddress;
  readonly targets: readonly SocketAddress[];
  readonly bind: readonly TcpAddress[] | undefined;
}

class Service {
  readonly #settings: ServiceSettings;
  #log = createLog(standardErrorSink("spiped"));
  #isReady = false;
  #pidFile: PidFile | undefined;
  #tunnel: Tunnel | undefined;
  #hasLeft = false;
  readonly #reload: KeyReload;
  #reloadWaits = false;

  constructor(settings: ServiceSettings) {
    this.#settings = settings;
    this.#reload = new KeyReload(settings.keyFile, {
      read: ({ key, warnings }) => {
        for (const warning of warnings) this.#log.warning(warning);
        // Handshakes that have begun keep the old key until they end.
        (this.#tunnel?.useKey(key) ?? key).destroy();
        this.#log.notice(`SIGHUP: read ${settings.keyFile} again; new connections use it`);
      },
      failed: (error) => this.#log.warning(`SIGHUP: ${messageOf(error)}; the old key stays`),
    });
  }

  get log(): Log {
    return this.#log;
  }

  get isReady(): boolean {
    return this.#isReady;
  }

  async start(): Promise<Tunnel> {
    const { user, waitsForLookUps } = this.#settings;
    // A mistake in -u must not wait for the name servers.
    const identity = user === undefined ? undefined : lookUpIdentity(user);
    return waitsForLookUps ? this.#startBeforeLookUps(identity) : this.#startAfterLookUps(identity);
  }

  async #startAfterLookUps(identity: Identity | undefined): Promise<Tunnel> {
    const addresses = await this.#unlessLeft(this.#lookUp(resolve));
    const key = await this.#unlessLeft(this.#readKey());
    this.#takePidFile();
    const tunnel = this.#listen(addresses, key);
    this.#pidFile?.write();
    await this.#begin(tunnel, identity);
    this.#ready(tunnel);
    return tunnel;
  }

  async #startBeforeLookUps(identity: Identity | undefined): Promise<Tunnel> {
    const key = await this.#unlessLeft(this.#readKey());
    this.#takePidFile();
    this.#pidFile?.write();
    this.#ready(undefined);
    const lookUp = this.#lookUp((address) => this.#resolveAgainAndAgain(address));
    const tunnel = this.#listen(await this.#unlessLeft(lookUp), key);
    await this.#begin(tunnel, identity);
    this.#sayListening(tunnel);
    return tunnel;
  }

  /** Where a signal has ended the start meanwhile, what comes too late makes no file any more. */
  async #unlessLeft<T>(step: Promise<T>): Promise<T> {
    const result = await step;
    return this.#hasLeft ? new Promise(() => undefined) : result;
  }

  async #lookUp(lookUp: typeof resolve): Promise<LookedUp> {
    const { config } = this.#settings;
    const [source, ...others] = await lookUp(config.source);
    if (others.length > 0) {
      const name = formatAddress(config.source);
      this.#log.warning(`${name} has ${others.length + 1} addresses; listening on ${formatAddress(source)} only`);
    }
    return { source, targets: await lookUp(config.target), bind: await resolveBind(config.bind) };
  }

  async #resolveAgainAndAgain(address: Address): ReturnType<typeof resolve> {
    for (let said = false; ; said = true) {
      try {
        return await resolve(address);
      } catch (error) {
        if (!said) this.#log.warning(`${messageOf(error)}; trying again each second`);
      }
      await new Promise((wake) => setTimeout(wake, RETRY_LOOK_UP_MS));
    }
  }

  async #readKey(): Promise<SharedKey> {
    const { keyFile, keyDescriptor, reportReady } = this.#settings;
    const { key, warnings } = await readKeyFile(keyFile, { descriptor: keyDescriptor, instead: KEY_INSTEAD });
    for (const warning of warnings) this.#log.warning(warning);
    if (keyDescriptor !== undefined) closeSync(keyDescriptor);
    if (keyFile === "-" && reportReady !== undefined) {
      // A daemon holds nobody's pipe open; the lowest free number is taken again at once.
      closeSync(0);
      openSync("/dev/null", "r");
    }
    return key;
  }

  #listen({ source, targets, bind }: LookedUp, key: SharedKey): Tunnel {
    const { config } = this.#settings;
    const events = createTunnelLog({
      notice: (text) => this.#log.notice(text),
      warning: (text) => this.#log.warning(text),
      error: (error) => this.#log.error(error),
    });
    const descriptors = DescriptorBudget.measure();
    const destination = new DialledDestination(new Targets(config.target, targets, resolve, events), {
      bind,
      timeoutMs: config.timeoutMs,
      keepAlive: config.keepAlive,
      resolveIntervalMs: config.resolveIntervalMs,
      descriptors,
    });
    this.#tunnel = Tunnel.listen(config, { key, source, destination, events, descriptors });
    if (this.#reloadWaits) this.reload();
    return this.#tunnel;
  }

  /** Before anything listens: what then says "already in use" is another program, and not an earlier daemon. */
  #takePidFile(): void {
    const { pidFile } = this.#settings;
    if (pidFile !== undefined) this.#pidFile = PidFile.take(pidFile);
  }

  async #begin(tunnel: Tunnel, identity: Identity | undefined): Promise<void> {
    if (identity !== undefined) {
      for (const warning of changeIdentity(identity)) this.#log.warning(warning);
      protectMemoryAgain();
    }
    await tunnel.accept();
    settle({ movesBytes: process.platform === "win32" || this.#settings.flows.relay === false });
  }

  /** From here on the program is started: whoever waits for it is told, and lines go where they were asked to. */
  #ready(tunnel: Tunnel | undefined): void {
    if (this.#settings.syslog) {
      this.#log = createLog(syslogSink("spiped"));
      tellFaultsTo(this.#log);
    }
    this.#isReady = true;
    if (tunnel !== undefined) this.#sayListening(tunnel);
    if (this.#settings.reportReady === undefined) return;
    letGoOfTerminals();
    this.#settings.reportReady();
  }

  /** SIGUSR1 and SIGUSR2. */
  sayState(signal: string): void {
    const count = this.#tunnel?.connections;
    this.#log.notice(count === undefined ? `${signal}: not listening yet` : `${signal}: open connections: ${count}`);
  }

  #sayListening(tunnel: Tunnel): void {
    const { role, target } = this.#settings.config;
    const verb = role === "encrypt" ? "encrypting" : "decrypting";
    this.#log.notice(`listening on ${formatAddress(tunnel.address)}, ${verb} to ${formatAddress(target)}`);
  }

  /** SIGTERM lets connections finish; a second one, or another signal, does not. */
  async runUntil(signals: StopSignals, tunnel: Tunnel): Promise<number> {
    let cut = 0;
    const cancel = () => {
      cut += tunnel.connections;
      tunnel.cancel();
    };
    const first = await signals.next();
    const drained = tunnel.drain();
    this.#pidFile?.release();
    signals.whenever(cancel);
    if (first !== "SIGTERM") cancel();
    else if (tunnel.connections > 0) {
      this.#log.notice(`${first}: no longer listening; open connections go on until they end (${tunnel.connections})`);
    }
    await drained;
    this.#log.notice(cut === 0 ? "stopped: all connections have ended" : `stopped: open connections were cut (${cut})`);
    return cut === 0 ? 0 : 1;
  }

  /** SIGHUP: reads the key again; where names are still waited for, once they are known. */
  reload(): void {
    if (this.#tunnel === undefined) this.#reloadWaits = true;
    else this.#reload.request();
  }

  /** Resets what is open, and leaves no files behind. */
  abandon(): void {
    this.leave();
    this.#tunnel?.cancel();
  }

  /** Leaves no files behind, whatever the start has come to. */
  leave(): void {
    this.#hasLeft = true;
    void this.#tunnel?.drain();
    const pidFile = this.#pidFile;
    this.#pidFile = undefined;
    try {
      pidFile?.remove();
    } catch (error) {
      this.#log.warning(messageOf(error));
    }
  }
}
