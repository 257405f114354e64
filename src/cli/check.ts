/**
 * `spiped --check`: whether a tunnel with these options would start and work. Checks this machine first, then the way to
 * the target. Starts nothing, and does not disturb a tunnel that is running.
 */

import { existsSync } from "node:fs";
import type { TunnelConfig } from "../config/tunnel-config.js";
import { type Address, formatAddress, type SocketAddress } from "../net/address.js";
import { tryToListen } from "../net/bind-trial.js";
import { loopsOf, type TunnelEnds } from "../net/loops.js";
import { resolve } from "../net/resolver.js";
import { conflictsWith } from "../net/same-address.js";
import { loopEntry, talksToItselfEntry } from "../observe/service-entries.js";
import { pathBytes } from "../paths.js";
import { canGiveSockets } from "../platform.js";
import { probeFarEnd } from "../probe/far-end.js";
import { probeReach } from "../probe/reach.js";
import { probeService } from "../probe/service.js";
import type { SharedKey } from "../protocol/secret.js";
import type { TunnelSettings } from "../service/served-tunnel.js";
import { checkConfigFile, checkLimit, checkPidFile, checkUser } from "./check-process.js";
import { leaveSignal } from "./early-signals.js";
import { mayOf, mayRemove } from "./file-access.js";
import { checkOutput } from "./output.js";
import { checkKey, checkKeys } from "./probe.js";
import { Verdicts } from "./probe-output.js";
import type { Identity } from "./user.js";

/** Tunnels that are checked at a time. */
const AT_ONCE = 8;

/** How long looking up the name in --status may take. */
const STATUS_LOOKUP_MS = 5_000;

/** What is checked. */
export interface CheckSettings {
  readonly tunnels: readonly Pick<TunnelSettings, "config" | "keyFile">[];
  /** Undefined without `--config`. */
  readonly configFile: string | undefined;
  /** Undefined in the foreground, where there is none. */
  readonly pidFile: string | undefined;
  /** The value of `-u`. */
  readonly user: string | undefined;
  /** The address of `--status`. */
  readonly status: Address | undefined;
}

/**
 * Checks tunnels and what they share, and writes the verdicts to standard output.
 *
 * @returns The exit status: 1 if a check has failed.
 */
export async function check(settings: CheckSettings): Promise<number> {
  for (const signal of ["SIGTERM", "SIGINT", "SIGHUP"] as const) leaveSignal(signal);
  const { tunnels, configFile, pidFile, user, status } = settings;
  checkOutput();
  const verdicts = new Verdicts();
  const identity = user === undefined ? undefined : checkUser(verdicts, user);
  if (configFile !== undefined) await checkConfigFile(verdicts, configFile, identity);
  if (pidFile !== undefined) await checkPidFile(verdicts, pidFile, identity);
  checkLimit(verdicts, tunnels);
  const statusAt = status && (await checkListening(verdicts, "status", status, { timeoutMs: STATUS_LOOKUP_MS }));
  if (status !== undefined && identity !== undefined) await checkStatusSocket(verdicts, status, identity);
  const checked: Promise<void>[] = [];
  for (const [index, tunnel] of tunnels.entries()) {
    await checked[index - AT_ONCE];
    const { name } = tunnel.config;
    const before = checked[index - 1] ?? Promise.resolve();
    checked.push(
      name === undefined
        ? checkTunnel(verdicts, tunnel, { statusAt, identity })
        : verdicts.ofTunnel(name, (ofTunnel) => checkTunnel(ofTunnel, tunnel, { statusAt, identity }), before),
    );
  }
  await Promise.all(checked);
  await checkLoops(verdicts, tunnels);
  return verdicts.exitStatus;
}

/** What tunnels share: the address of the status, and the user of `-u`. */
interface Shared {
  readonly statusAt: SocketAddress | undefined;
  readonly identity: Identity | undefined;
}

async function checkTunnel(
  verdicts: Verdicts,
  { config, keyFile }: CheckSettings["tunnels"][number],
  { statusAt, identity }: Shared,
): Promise<void> {
  const key = await (config.role === "decrypt"
    ? checkKeys(verdicts, keyFile, identity)
    : checkKey(verdicts, keyFile, { identity }));
  await checkSource(verdicts, config, statusAt);
  if (identity !== undefined) await checkSockets(verdicts, config, identity);
  await checkTarget(verdicts, config, key);
  key?.destroy();
}

async function checkSource(
  verdicts: Verdicts,
  { source, timeoutMs }: TunnelConfig,
  statusAt: SocketAddress | undefined,
): Promise<void> {
  const step = "source";
  if (source.kind === "systemd") {
    // Handed over at a start by the manager, and so never to this command.
    const text = `${formatAddress(source)} is opened by the service manager, and not checked here`;
    verdicts.write({ verdict: "ok", step, text });
    return;
  }
  await checkListening(verdicts, step, source, { timeoutMs, statusAt });
}

/** Checks what the user of `-u` may do with UNIX sockets. */
async function checkSockets(verdicts: Verdicts, { source, target }: TunnelConfig, identity: Identity): Promise<void> {
  const may = mayOf(verdicts, identity);
  const user = identity.text;
  const owner = process.geteuid?.() ?? 0;
  if (source.kind === "unix" && !(await mayRemove(source.path, owner, identity, may))) {
    verdicts.write({
      verdict: "warning",
      step: "source",
      text: `-u: user ${user} cannot remove ${source.path}: it stays after an exit, and a reload cannot change it`,
      hint: OWN_FOLDER,
    });
  }
  if (target.kind === "unix" && existsSync(pathBytes(target.path)) && !(await may(target.path, "connect"))) {
    verdicts.write({
      verdict: "failed",
      step: "user",
      text: `-u: user ${user} may not connect to ${target.path}`,
      hint: "give that user access to its folder, and write access to the socket",
    });
  }
}

const OWN_FOLDER = "give that user a folder of its own for it";

/** Warns if the user of `-u` cannot remove the UNIX socket of `--status`, which a start gives to that user if it can. */
async function checkStatusSocket(verdicts: Verdicts, status: Address, identity: Identity): Promise<void> {
  if (status.kind !== "unix") return;
  const owner = (canGiveSockets() ? identity.uid : undefined) ?? process.geteuid?.() ?? 0;
  if (await mayRemove(status.path, owner, identity, mayOf(verdicts, identity))) return;
  verdicts.write({
    verdict: "warning",
    step: "status",
    text: `-u: user ${identity.text} cannot remove ${status.path}: it stays after an exit`,
    hint: OWN_FOLDER,
  });
}

/** @returns The address, if there is one. */
async function checkListening(
  verdicts: Verdicts,
  step: "source" | "status",
  where: Address,
  { timeoutMs, statusAt }: { readonly timeoutMs: number; readonly statusAt?: SocketAddress | undefined },
): Promise<SocketAddress | undefined> {
  try {
    const [address, ...others] = await resolve(where, { timeoutMs });
    const name = formatAddress(address);
    if (others.length > 0) {
      const text = `${formatAddress(where)} resolves to ${others.length + 1} addresses; spiped would listen on ${name} only`;
      verdicts.write({ verdict: "warning", step, text });
    }
    if (statusAt !== undefined && conflictsWith(address, statusAt)) {
      verdicts.write({
        verdict: "failed",
        step,
        text: `${name} conflicts with the status address ${formatAddress(statusAt)}`,
        hint: "use another address for -s or --status",
      });
      return address;
    }
    const trial = await tryToListen(address);
    switch (trial.kind) {
      case "free":
        verdicts.write({ verdict: "ok", step, text: `can listen on ${name}` });
        break;
      case "stale":
        verdicts.write({ verdict: "ok", step, text: `can listen on ${name}, replacing the stale socket there` });
        break;
      case "in-use":
        verdicts.write({
          verdict: "warning",
          step,
          text: `${name} is in use: something listens there already, this tunnel or another program`,
          hint: `if it is another program, use another address for ${step === "source" ? "-s" : "--status"}`,
        });
        break;
      case "refused":
        verdicts.writeError(step, trial.error);
    }
    return address;
  } catch (error) {
    verdicts.writeError(step, error);
    return undefined;
  }
}

async function checkTarget(verdicts: Verdicts, config: TunnelConfig, key: SharedKey | undefined): Promise<void> {
  const { role, target } = config;
  if (role === "decrypt") {
    await verdicts.writeAll(probeService(config), { what: "service", target });
  } else {
    const findings = key === undefined ? probeReach(config) : probeFarEnd({ ...config, key });
    await verdicts.writeAll(findings, { what: "far end", target });
  }
}

/** Checks that no tunnel leads back to itself, directly or through others. */
async function checkLoops(verdicts: Verdicts, tunnels: CheckSettings["tunnels"]): Promise<void> {
  const ends = await Promise.all(tunnels.map(({ config }) => endsOf(config)));
  for (const loop of loopsOf(ends.flat())) {
    const [first, ...others] = loop.map(({ config }) => config);
    if (first === undefined) continue;
    const { message, hint } =
      others.length === 0
        ? talksToItselfEntry(formatAddress(first.source), formatAddress(first.target))
        : loopEntry([first, ...others].map(({ name }) => name ?? ""));
    verdicts.write({ verdict: "failed", step: "loop", text: message, hint });
  }
}

/** @returns Nothing if a name cannot be resolved, or systemd opens the source. */
async function endsOf(config: TunnelConfig): Promise<readonly (TunnelEnds & { readonly config: TunnelConfig })[]> {
  const { source: from, target, timeoutMs } = config;
  if (from.kind === "systemd") return [];
  try {
    const [[source], targets] = await Promise.all([resolve(from, { timeoutMs }), resolve(target, { timeoutMs })]);
    return [{ config, source, targets }];
  } catch {
    // Reported with the tunnel.
    return [];
  }
}
