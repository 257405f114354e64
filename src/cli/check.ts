/**
 * `spiped --check`: whether a tunnel with these options would start and work. Checks this machine first, then the way to
 * the target. Starts nothing, and does not disturb a tunnel that is running.
 */

import type { TunnelConfig } from "../config/tunnel-config.js";
import { type Address, formatAddress, type SocketAddress } from "../net/address.js";
import { tryToListen } from "../net/bind-trial.js";
import { DescriptorBudget } from "../net/descriptors.js";
import { resolve } from "../net/resolver.js";
import { conflictsWith } from "../net/same-address.js";
import { probeFarEnd } from "../probe/far-end.js";
import { probeReach } from "../probe/reach.js";
import { probeService } from "../probe/service.js";
import type { SharedKey } from "../protocol/secret.js";
import type { TunnelSettings } from "../service/served-tunnel.js";
import { leaveSignal } from "./early-signals.js";
import { checkOutput } from "./output.js";
import { PidFile } from "./pid-file.js";
import { checkKey, checkKeys } from "./probe.js";
import { Verdicts } from "./probe-output.js";
import { type Identity, lookupIdentity, mayBecome } from "./user.js";

/** Tunnels that are checked at a time. */
const AT_ONCE = 8;

/** How long looking up the name in --status may take. */
const STATUS_LOOKUP_MS = 5_000;

/** What is checked. */
export interface CheckSettings {
  readonly tunnels: readonly Pick<TunnelSettings, "config" | "keyFile">[];
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
  const { tunnels, pidFile, user, status } = settings;
  checkOutput();
  const verdicts = new Verdicts();
  const identity = user === undefined ? undefined : checkUser(verdicts, user);
  if (pidFile !== undefined) checkPidFile(verdicts, pidFile);
  checkLimit(verdicts, tunnels);
  const statusAt = status && (await checkListening(verdicts, "status", status, { timeoutMs: STATUS_LOOKUP_MS }));
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
  const key = await (config.role === "decrypt" ? checkKeys(verdicts, keyFile, identity) : checkKey(verdicts, keyFile));
  await checkSource(verdicts, config, statusAt);
  await checkTarget(verdicts, config, key);
  key?.destroy();
}

/** @returns The user of `-u`, if it exists. */
function checkUser(verdicts: Verdicts, user: string): Identity | undefined {
  const step = "user";
  try {
    const identity = lookupIdentity(user);
    if (mayBecome(identity)) verdicts.write({ verdict: "ok", step, text: `can switch to ${user}` });
    else {
      verdicts.write({
        verdict: "failed",
        step,
        text: `this user cannot switch to ${user}`,
        hint: "run the check, and spiped, as root, or remove -u",
      });
    }
    return identity;
  } catch (error) {
    verdicts.writeError(step, error);
    return undefined;
  }
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

function checkPidFile(verdicts: Verdicts, pidFile: string): void {
  const step = "pid file";
  try {
    const holder = PidFile.holderOf(pidFile);
    if (holder === undefined) verdicts.write({ verdict: "ok", step, text: `${pidFile} can be written` });
    else {
      const text = `${pidFile} is held by pid ${holder || "(not yet written)"}: this tunnel is probably running already`;
      verdicts.write({ verdict: "warning", step, text });
    }
  } catch (error) {
    verdicts.writeError(step, error);
  }
}

function checkLimit(verdicts: Verdicts, tunnels: CheckSettings["tunnels"]): void {
  const step = "limit";
  const maxConnections = tunnels.reduce((sum, { config }) => sum + config.maxConnections, 0);
  const { connections } = DescriptorBudget.measure();
  const room = Number.isFinite(connections)
    ? `enough file descriptors for ${connections} connections`
    : "no limit on file descriptors";
  if (maxConnections <= connections || !Number.isFinite(maxConnections)) {
    verdicts.write({ verdict: "ok", step, text: room });
    return;
  }
  verdicts.write({
    verdict: "warning",
    step,
    text: `${room}, and -n allows ${maxConnections}; new clients would wait`,
    hint: `raise ulimit -n, or LimitNOFILE= in the unit, to ${2 * maxConnections + 64} or more`,
  });
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
