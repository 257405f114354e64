/**
 * The command `spiped`: arguments, environment and files → settings → tunnels in the foreground, or a daemon.
 */

import type { Command } from "commander";
import { SpipedError } from "../errors.js";
import { parseAddressOption } from "../flags/addresses.js";
import type { CheckedConfig } from "../flags/config-file.js";
import { type FlagValues, flagsOf, variableOf } from "../flags/flags.js";
import { asError } from "../flags/mistakes.js";
import { refuseSourceMode, tunnelConfigOf } from "../flags/tunnel-values.js";
import { shortUsageOf } from "../flags/usage.js";
import { formatAddress, type SourceAddress } from "../net/address.js";
import { tryToListen } from "../net/bind-trial.js";
import { lacksDaemons } from "../platform.js";
import type { TunnelSettings } from "../service/served-tunnel.js";
import type { ConfigInUse } from "./config-reload.js";
import { KEY_DESCRIPTOR, startDaemon, takeReport } from "./daemon.js";
import { applyEnvironment } from "./environment.js";
import { keyId } from "./key-id.js";
import { keygen } from "./keygen.js";
import { chooseLogBy } from "./log-flags.js";
import { addFlags, createCommand, parseArguments, refuseContradictions } from "./options.js";
import type { RawArguments } from "./raw-arguments.js";
import { runService } from "./service.js";
import type { ServiceSettings } from "./service-settings.js";
import { listOf, usageError } from "./usage-error.js";

const EXAMPLES = `
Addresses are [IPv4]:port, [IPv6]:port, host:port, or the /absolute/path of a UNIX socket.
Options can come from the environment: SPIPED_KEY for --key, SPIPED_DECRYPT=yes for --decrypt.

Examples:
  spiped keygen keyfile                 make a key, and copy it to the other machine
  spiped -d -s '[0.0.0.0]:8025' -t '[127.0.0.1]:25' -k keyfile
                                        far end: packets come in, cleartext goes to the service
  spiped -e -s '[127.0.0.1]:8025' -t far.example:8025 -k keyfile
                                        near end: cleartext comes in, packets go to the far end
  spiped --check ...                    with the options of either end: what would not work, and what to do
  spipe --probe -t far.example:8025 -k keyfile
                                        on the near machine: each step of the way to the service
`;

const USAGE = [...shortUsageOf("spiped"), "keygen FILE", "key-id FILE..."];

type Flags = FlagValues<"spiped">;

/** Runs `spiped`. */
export async function main(given: RawArguments): Promise<number> {
  const args = withoutHelpCommand(given.args);
  if (args[0] === "keygen") return keygen(args.slice(1));
  if (args[0] === "key-id") return keyId(args.slice(1));
  const reportReady = takeReport(process.env);
  const command = spipedCommand();
  const parsed = parseArguments(command, args);
  if (parsed !== undefined) return parsed.exitStatus;
  const warnings = applyEnvironment(command, given.variables);
  refuseContradictions(command, "spiped");
  const file = await readConfig(command);
  const flags = command.opts<Flags>();
  chooseLogBy(flags);
  if (lacksDaemons()) refuseOnWindows(flags);
  const settings = settingsOf(flags, file, given.variables, warnings);
  const pidFile = flags.pidFile ?? `${flags.config?.replace(/(?<=.)\/+$/, "") ?? flags.source}.pid`;
  if (flags.check) {
    const { check } = await import("./check.js");
    return check({ ...settings, configFile: file?.path, pidFile: flags.foreground ? undefined : pidFile });
  }
  if (flags.foreground) return runService(settings);
  // The keys of a configuration file are paths, which the daemon can open itself.
  const keyFile = file === undefined ? settings.tunnels[0]?.keyFile : undefined;
  if (reportReady === undefined) return startDaemon(keyFile);
  const keyDescriptor = keyFile === undefined || keyFile === "-" ? undefined : KEY_DESCRIPTOR;
  try {
    return await runService({ ...settings, keyDescriptor, pidFile, reportReady });
  } catch (error) {
    if (file !== undefined || flags.pidFile !== undefined) throw error;
    throw await sourceErrorOf(error, settings.tunnels[0]?.config.source);
  }
}

/**
 * Reads the file of `--config`. The command line and the environment override its keys of the process.
 *
 * @throws SpipedError `SPIPED_CONFIG` with all mistakes in it.
 */
async function readConfig(command: Command): Promise<ConfigInUse | undefined> {
  const { config: path } = command.opts<Flags>();
  if (path === undefined) return undefined;
  const { checkConfig } = await import("../flags/config-file.js");
  const isGiven = (name: string) => !["default", "config", undefined].includes(command.getOptionValueSource(name));
  const check = async (): Promise<CheckedConfig> => {
    const checked = await checkConfig(path);
    if (checked.kind === "wrong") return checked;
    const { process, tunnels } = checked.config;
    const used = Object.entries(process).filter(([name]) => !isGiven(name));
    return { kind: "right", config: { process: Object.fromEntries(used), tunnels } };
  };
  const checked = await check();
  if (checked.kind === "wrong") throw asError(checked.mistakes);
  for (const [name, value] of Object.entries(checked.config.process)) {
    if (value !== undefined) command.setOptionValueWithSource(name, value, "config");
  }
  return { path, config: checked.config, check };
}

/** `help` and `version`, which other programs have as commands. */
function withoutHelpCommand(args: readonly string[]): readonly string[] {
  const [first, second, ...others] = args;
  if (first === "version" && second === undefined) return ["--version"];
  if (first !== "help" || others.length > 0) return args;
  if (second === undefined) return ["--help"];
  return second === "keygen" || second === "key-id" ? [second, "--help"] : args;
}

/** The command with its options. */
export function spipedCommand(): Command {
  const command = createCommand("spiped", USAGE.join("\n       spiped ")).description(
    "An encrypted, authenticated pipe between two socket addresses.",
  );
  return addFlags(command, "spiped").addHelpText("after", EXAMPLES);
}

function settingsOf(
  flags: Flags,
  file: ConfigInUse | undefined,
  variables: RawArguments["variables"],
  warnings: readonly string[],
): ServiceSettings {
  return {
    tunnels: file?.config.tunnels ?? [tunnelOf(flags)],
    file,
    keyDescriptor: undefined,
    waitsForLookups: flags.daemonizeFirst === true,
    pidFile: undefined,
    user: flags.user,
    drainTimeoutMs: flags.drainTimeout,
    syslog: flags.syslog === true,
    status: flags.status === undefined ? undefined : parseAddressOption("status", flags.status),
    flows: {
      ...relayOf(variables),
      coalescing: flags.coalescing,
      ...(flags.threads === undefined ? {} : { threads: flags.threads }),
    },
    reportReady: undefined,
    warnings: [...warnings, ...(file === undefined ? [] : warningsOf(variables))],
  };
}

/** The tunnel of the command line. */
function tunnelOf(flags: Flags): TunnelSettings {
  const { source = "", target = "", key = "" } = flags;
  const role = flags.encrypt ? "encrypt" : "decrypt";
  const config = tunnelConfigOf({ name: undefined, role }, { ...flags, source, target }, parseAddressOption);
  refuseSourceMode(config.source, flags.sourceMode);
  const [from, to] = [formatAddress(config.source), formatAddress(config.target)];
  if (from.toLowerCase() === to.toLowerCase()) {
    const meant = role === "encrypt" ? "-s of the spiped -d on the other machine" : "the address of the service";
    throw usageError(`-s and -t are both ${from}`, `-t is ${meant}; on one machine, give each end a port of its own`);
  }
  return { config, keyFile: key };
}

/** Without `-p`, the pid file is beside a UNIX socket: if both cannot be made, the mistake is in `-s`. */
async function sourceErrorOf(error: unknown, source: SourceAddress | undefined): Promise<unknown> {
  if (!(error instanceof SpipedError && error.code === "SPIPED_PID_FILE") || source?.kind !== "unix") return error;
  const trial = await tryToListen(source);
  return trial.kind === "refused" ? trial.error : error;
}

/** Beside `--config`, variables of a tunnel have no effect. */
function warningsOf(variables: Readonly<Record<string, string | undefined>>): readonly string[] {
  const roles = ["encrypt", "decrypt"];
  const ofTunnel = flagsOf("spiped").filter(({ belongsTo, long }) => belongsTo === "tunnel" || roles.includes(long));
  const useless = ofTunnel.map(({ long }) => variableOf(long)).filter((name) => variables[name] !== undefined);
  if (useless.length === 0) return [];
  const verb = useless.length === 1 ? "has" : "have";
  return [`${listOf(useless)} ${verb} no effect beside --config, which takes tunnels from its file`];
}

/** For tests, and for troubleshooting: `SPIPED_RELAY=off` moves packets without threads. */
function relayOf({ SPIPED_RELAY }: Readonly<Record<string, string | undefined>>): { readonly relay?: false } {
  if (SPIPED_RELAY === undefined || SPIPED_RELAY === "on") return {};
  if (SPIPED_RELAY === "off") return { relay: false };
  throw new SpipedError("SPIPED_USAGE", `bad value of SPIPED_RELAY: ${JSON.stringify(SPIPED_RELAY)}`, {
    hint: "write on or off",
  });
}

/** Refuses what Windows lacks. */
function refuseOnWindows(flags: Flags): void {
  if (!flags.foreground) throw usageError("there are no daemons on Windows", "add -F and let a service manager run it");
  if (flags.syslog) throw usageError("there is no syslog on Windows", "leave --syslog out and redirect standard error");
  if (flags.sourceMode !== undefined) {
    throw usageError("--source-mode is for UNIX sockets, and Windows has none", "leave it out");
  }
}
