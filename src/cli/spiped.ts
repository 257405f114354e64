/**
 * The command `spiped`: words and files → settings → tunnels in the foreground, or a daemon.
 */

import type { Command } from "commander";
import { SpipedError } from "../errors.js";
import { type FlagValues, flagsOf, variableOf } from "../flags/flags.js";
import { asError } from "../flags/mistakes.js";
import { tunnelConfigOf } from "../flags/tunnel-values.js";
import { usageOf } from "../flags/usage.js";
import { ADDRESS_PARSERS } from "../flags/values.js";
import type { TunnelSettings } from "../service/served-tunnel.js";
import type { ConfigInUse } from "./config-reload.js";
import { KEY_DESCRIPTOR, startDaemon, takeReport } from "./daemon.js";
import { applyEnvironment } from "./environment.js";
import { takeGiven } from "./given.js";
import { keyId } from "./key-id.js";
import { keygen } from "./keygen.js";
import { chooseLogBy } from "./log-flags.js";
import { addFlags, createCommand, parseWords, refuseContradictions, required, usageError } from "./options.js";
import { runService } from "./service.js";
import type { ServiceSettings } from "./service-settings.js";

const EXAMPLES = `
Addresses are [IPv4]:port, [IPv6]:port, host:port, or the /absolute/path of a UNIX socket.
Each flag can come from the environment: SPIPED_KEY for --key, SPIPED_DECRYPT=yes for --decrypt.

Examples:
  spiped keygen keyfile                 make a key; copy it to the other machine
  spiped key-id keyfile                 an id that is the same where the key is the same
  spiped -e -s '[127.0.0.1]:2562' -t far.example:2562 -k keyfile
                                        near: cleartext comes in, packets go out
  spiped -d -s '[0.0.0.0]:2562' -t '[127.0.0.1]:2562' -k keyfile
                                        far: packets come in, cleartext goes out
  spiped --check ...                    with the flags of either: what would not work, and what to do
`;

type Flags = FlagValues<"spiped">;

/** Runs `spiped`. */
export async function main(words: readonly string[]): Promise<number> {
  if (words[0] === "keygen") return keygen(words.slice(1));
  if (words[0] === "key-id") return keyId(words.slice(1));
  const reportReady = takeReport(process.env);
  const command = spipedCommand();
  const parsed = parseWords(command, words);
  if (parsed !== undefined) return parsed.exitStatus;
  applyEnvironment(command, takeGiven().variables);
  refuseContradictions(command, "spiped");
  const file = await readConfig(command);
  const flags = command.opts<Flags>();
  chooseLogBy(flags);
  if (process.platform === "win32") refuseOnWindows(command, flags);
  const settings = settingsOf(command, flags, file);
  const pidFile = flags.pidFile ?? `${flags.config?.replace(/(?<=.)\/+$/, "") ?? flags.source}.pid`;
  if (flags.check) {
    const { check } = await import("./check.js");
    return check({ ...settings, pidFile: flags.foreground ? undefined : pidFile });
  }
  if (flags.foreground) return runService(settings);
  // The keys of a file are files, which mean the same to both processes.
  const keyFile = file === undefined ? settings.tunnels[0]?.keyFile : undefined;
  if (reportReady === undefined) return startDaemon(keyFile);
  return runService({
    ...settings,
    keyDescriptor: keyFile === undefined || keyFile === "-" ? undefined : KEY_DESCRIPTOR,
    pidFile,
    reportReady,
  });
}

/**
 * Reads the file of `--config`. What it says of the process counts where neither the command line nor a variable says
 * anything.
 *
 * @throws SpipedError `SPIPED_CONFIG` with everything that is wrong.
 */
async function readConfig(command: Command): Promise<ConfigInUse | undefined> {
  const { config: path } = command.opts<Flags>();
  if (path === undefined) return undefined;
  const { checkConfig } = await import("../flags/config-file.js");
  const check = () => checkConfig(path);
  const checked = await check();
  if (checked.kind === "wrong") throw asError(checked.mistakes);
  for (const [name, value] of Object.entries(checked.config.process)) {
    const isSaid = !["default", undefined].includes(command.getOptionValueSource(name));
    if (!isSaid && value !== undefined) command.setOptionValueWithSource(name, value, "config");
  }
  return { path, config: checked.config, check };
}

/** The command's flags. */
export function spipedCommand(): Command {
  const command = createCommand("spiped", usageOf("spiped").join("\n       spiped ")).description(
    "An encrypted, authenticated pipe between two socket addresses.",
  );
  return addFlags(command, "spiped").addHelpText("after", EXAMPLES);
}

function settingsOf(command: Command, flags: Flags, file: ConfigInUse | undefined): ServiceSettings {
  return {
    tunnels: file?.config.tunnels ?? [tunnelOf(command, flags)],
    file,
    keyDescriptor: undefined,
    waitsForLookUps: flags.daemonizeFirst === true,
    pidFile: undefined,
    user: flags.user,
    drainTimeoutMs: flags.drainTimeout,
    syslog: flags.syslog === true,
    status: flags.status === undefined ? undefined : ADDRESS_PARSERS.status(flags.status),
    flows: {
      ...relayOf(takeGiven().variables),
      coalescing: flags.coalescing,
      ...(flags.threads === undefined ? {} : { threads: flags.threads }),
    },
    reportReady: undefined,
    warnings: file === undefined ? [] : warningsOf(takeGiven().variables),
  };
}

/** The tunnel of the command line. */
function tunnelOf(command: Command, flags: Flags): TunnelSettings {
  const config = tunnelConfigOf(
    { name: undefined, role: flags.encrypt ? "encrypt" : "decrypt" },
    {
      ...flags,
      source: required(command, "source", flags.source),
      target: required(command, "target", flags.target),
    },
  );
  return { config, keyFile: required(command, "key", flags.key) };
}

/** Beside `--config`, variables of a tunnel are of no use, and somebody may think that they are. */
function warningsOf(variables: Readonly<Record<string, string | undefined>>): readonly string[] {
  const roles = ["encrypt", "decrypt"];
  const ofTunnel = flagsOf("spiped").filter(({ belongsTo, long }) => belongsTo === "tunnel" || roles.includes(long));
  const useless = ofTunnel.map(({ long }) => variableOf(long)).filter((name) => variables[name] !== undefined);
  if (useless.length === 0) return [];
  return [`${useless.join(", ")}: beside --config, variables of a tunnel count for nothing; write them in the file`];
}

/** For whoever suspects the threads, and for tests of what does without. */
function relayOf({ SPIPED_RELAY }: Readonly<Record<string, string | undefined>>): { readonly relay?: false } {
  if (SPIPED_RELAY === undefined || SPIPED_RELAY === "on") return {};
  if (SPIPED_RELAY === "off") return { relay: false };
  throw new SpipedError("SPIPED_USAGE", `bad value of SPIPED_RELAY: ${JSON.stringify(SPIPED_RELAY)}`, {
    hint: "write on or off",
  });
}

/** Says what Windows lacks where it is asked for. */
function refuseOnWindows(command: Command, flags: Flags): void {
  if (!flags.foreground)
    throw usageError(command, "there is no daemon on Windows; add -F and let a service manager run it");
  if (flags.syslog)
    throw usageError(command, "there is no syslog on Windows; leave --syslog out and redirect standard error");
  if (flags.sourceMode !== undefined) {
    throw usageError(command, "there are no UNIX sockets on Windows, so --source-mode means nothing there");
  }
}
